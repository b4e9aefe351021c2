// Every reading method of xero-node's AccountingApi, done to a simulated organisation.
// node node_xero_reads.js BASE TENANT ACCESS_TOKEN; prints what answered and what did not.
'use strict'
const [base, tenant, token] = process.argv.slice(2)
require('./node_elsewhere.js')(base)
const { XeroClient } = require('xero-node')

const OTHERS = { contactNumber: null, purchaseOrderNumber: null, journalNumber: null, taxType: null }
const parameters = (method) => method.toString().match(/\(([^)]*)\)/)[1].split(',')
  .map((name) => name.trim().replace(/_\d+$/, ''))
const listed = (body) => Object.values(body).find((value) => Array.isArray(value) && value.length)

async function main () {
  const xero = new XeroClient({ clientId: 'a', clientSecret: 'b', redirectUris: ['http://localhost'] })
  xero.setTokenSet({ access_token: token, token_type: 'Bearer', expires_in: 1800 })
  const api = xero.accountingApi
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(api))
    .filter((name) => name.startsWith('get'))
  const known = { fileName: 'a.txt', contentType: 'application/octet-stream' }
  const found = { answered: 0, untried: [], failed: {} }
  const needs = (name) => parameters(api[name]).slice(1)
    .filter((given) => /I[Dd]$/.test(given) || given in known || given in OTHERS)
  const call = async (name, ...given) => {
    try {
      const { body } = await api[name](tenant, ...given)
      found.answered += 1
      return body
    } catch (error) {
      const text = error.body || error.response || error
      found.failed[name] = (error.message || JSON.stringify(text) || String(text)).slice(0, 300)
    }
  }
  const isList = (name) => /^get(LinkedTransactions|Quotes|ReportProfitAndLoss)$/.test(name) ||
    (/s$|List$/.test(name) && !needs(name).length &&
    !/Attachments$|History$|ByContact$|CISSettings$/.test(name))
  for (const name of names.filter(isList)) {
    const first = listed(await call(name) || {})
    for (const [key, value] of Object.entries(first ? first[0] : {})) {
      const own = name.slice(3).toLowerCase().replace(/ies$/, 'y').replace(/s$/, '')
      if (key.toLowerCase() === `${own}id` || key in OTHERS) known[key] = known[key] || value
    }
  }
  known.contactId = known.contactID
  for (const name of names.filter((one) => /AttachmentByFileName$/.test(one))) {
    const [parent] = needs(name)
    const make = name.replace(/^get/, 'create')
    if (!known[parent]) continue
    await api[make](tenant, known[parent], 'a.txt', Buffer.from('hello'))
    const { body } = await api[`${name.replace(/ByFileName$/, 's')}`](tenant, known[parent])
    known[`${parent}/attachmentID`] = body.attachments[0].attachmentID
  }
  for (const name of names.filter((one) => !isList(one))) {
    const wanted = parameters(api[name]).slice(1)
    const given = needs(name)
    const values = wanted.slice(0, given.length).map((one, at) => at && one === 'attachmentID'
      ? known[`${wanted[0]}/attachmentID`]
      : known[one])
    if (values.some((value) => value === undefined)) found.untried.push(name)
    else await call(name, ...values)
  }
  console.log(JSON.stringify(found))
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
