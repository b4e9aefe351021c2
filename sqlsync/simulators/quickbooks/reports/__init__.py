"""The service's reports, worked out from the books when asked for.

`catalog` names them, `asked` reads the parameters of a request, `run` holds what a report is
made from; every other module makes a family of reports. Shapes as in the reference: Header,
Columns, Rows nested in sections, every value a text.
"""
