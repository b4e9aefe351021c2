"""Invented people, firms, streets: words that generated companies of every service are made of.

Nothing here can reach anybody: places are made up and addresses end in `.example`.
"""

from __future__ import annotations


def _words(text: str, between: str | None = None) -> tuple[str, ...]:
    return tuple(text.split(between))


GIVEN = _words(
    "Ada Alma Amir Anders Anita Arlo Asha Astrid Beatriz Ben Bianca Boris Bruno Camila Carl "
    "Cecilia Chen Clara Dana Daniel Daria Diego Dora Edgar Elena Elias Emi Emil Esther Eva "
    "Fatima Felix Fiona Frida Gabriel Gita Greta Hana Hector Helen Hugo Ida Ines Ingrid Iris "
    "Isaac Ivo Jana Jasper Joan Jonas Judith Julia Kai Karim Kavita Klara Lara Laszlo Lea Leo "
    "Lina Louis Lucia Luis Magda Malik Mara Marcus Maria Marta Max Maya Mei Milan Mina Nadia "
    "Naomi Nia Nico Nina Noah Nora Olga Omar Oscar Otto Paula Pavel Petra Priya Rafael Rana "
    "Rita Robin Rosa Ruben Ruth Samir Sara Selma Silvia Simon Sofia Stella Sven Tara Teresa "
    "Theo Tim Tina Uma Vera Victor Viktoria Wanda Yara Yusuf Zoe"
)

FAMILY = _words(
    "Abbott Adler Alvarez Andersen Aoki Arendt Baker Balogh Banerjee Barros Becker Bell Berg "
    "Blum Brandt Brooks Burke Calder Carver Castro Chandra Chen Clarke Costa Cruz Dahl Delgado "
    "Dietrich Dixon Duarte Eklund Ellis Engel Farah Farrow Fischer Flores Frost Garcia Gibbs "
    "Glass Gomez Graf Greene Gupta Haas Hale Hansen Hartley Hayes Herrera Holm Horvat Hughes "
    "Ibarra Ito Jansen Jensen Kaplan Keller Khan Kim Klein Kovac Kowalski Kramer Lam Lange "
    "Larsen Lehmann Lind Lopez Lund Malone Marsh Martin Mehta Meyer Mills Molina Moreau Moser "
    "Nakamura Neumann Nguyen Nielsen Novak O'Hara Okafor Olsen Ortiz Ostrow Park Patel Pereira "
    "Platt Popov Quinn Ramos Rao Reyes Richter Rossi Roth Salazar Santos Sato Schmidt Shaw "
    "Silva Singh Sokolov Stein Suzuki Tanaka Torres Tran Ueda Vargas Vega Vogel Wagner Walsh "
    "Weber Winter Wolf Yamada Young Zhang Zimmer"
)

PLACE = _words(
    "Alder Amber Ash Aspen Bay Beacon Birch Blue Bridge Bright Canyon Cedar Clear Cliff Coast "
    "Copper Coral Creek Crown Delta Eagle East Elm Ember Falcon Fern Foundry Garden Glen Gold "
    "Granite Green Grove Harbor Hawthorn Hazel Heron High Hill Iron Island Ivory Juniper "
    "Kestrel Lake Laurel Linden Maple Marsh Meadow Mesa Mill Moss North Oak Orchard Otter Park "
    "Pine Plaza Prairie Quarry Quay Red Ridge River Rock Rose Sage Sand Silver South Spring "
    "Spruce Star Stone Summit Sun Thistle Timber Union Valley Vine Walnut West White Willow "
    "Wind Wood"
)

TRADE = _words(
    "Bakery Books Brewing Builders Cafe Ceramics Clinic Coaching Coffee Courier Cycling Dairy "
    "Dental Design Electric Events Farm Fitness Florist Foods Furniture Gallery Garage Glass "
    "Hardware Hotel Imports Interiors Kitchen Landscaping Laundry Legal Logistics Market Media "
    "Motors Music Nursery Optics Outdoor Paper Partners Pharmacy Photo Plumbing Pottery Press "
    "Printing Realty Records Roofing School Security Software Solar Sports Studio Supply Surf "
    "Textiles Tiles Tools Toys Travel Vets Vintners Yoga"
)

STREET = _words(
    "Harbor Street|Hill Road|Foundry Lane|Quay Road|Mill Avenue|Orchard Way|Station Road|Park Drive"
    "|Cedar Court|Market Street|Canal Street|Bridge Road|Sunset Boulevard|Union Square|Maple Avenue"
    "|Garden Lane|Lakeview Drive|Church Street|Prospect Avenue|Ridge Road",
    "|",
)
