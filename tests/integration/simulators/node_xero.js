// What the README of xero-node shows, done to a simulated organisation.
// node node_xero.js BASE; prints one JSON object of what was found.
'use strict'
const [base] = process.argv.slice(2)
require('./node_elsewhere.js')(base)
const { XeroClient } = require('xero-node')

const found = {}

async function main () {
  const xero = new XeroClient({
    clientId: 'node-app',
    clientSecret: 'secret',
    redirectUris: ['http://localhost:5000/callback'],
    scopes: ('openid profile email offline_access accounting.contacts accounting.settings ' +
      'accounting.invoices accounting.attachments accounting.reports.balancesheet.read').split(' '),
    state: 'returnPage=my-sweet-dashboard',
    httpTimeout: 10000,
    clockTolerance: 10
  })
  await xero.initialize()
  const consent = await xero.buildConsentUrl()
  const page = await fetch(consent, { redirect: 'manual' })
  const back = page.headers.get('location')
  const tokens = await xero.apiCallback(back)
  found.claims = [tokens.claims().email, tokens.expired()]
  const [tenant] = await xero.updateTenants()
  found.tenant = tenant.orgData.name === tenant.tenantName
  const id = tenant.tenantId
  const api = xero.accountingApi

  const contacts = await api.createContacts(id, {
    contacts: [{ name: 'Node Contact', emailAddress: 'node@example.com' }]
  })
  const contact = contacts.body.contacts[0]
  found.contact = contact.name
  const invoices = {
    invoices: [{
      type: 'ACCREC',
      contact: { contactID: contact.contactID },
      lineItems: [{ description: 'consulting', quantity: 1, unitAmount: 20, accountCode: '200' }],
      date: '2026-10-01',
      dueDate: '2026-10-20',
      status: 'AUTHORISED'
    }]
  }
  const made = (await api.createInvoices(id, invoices, true, 4, 'node-key')).body.invoices[0]
  const again = (await api.createInvoices(id, invoices, true, 4, 'node-key')).body.invoices[0]
  found.invoice = [made.total, made.invoiceID === again.invoiceID]
  const where = 'Status=="AUTHORISED" AND Contact.Name=="Node Contact"'
  const listed = await api.getInvoices(id, undefined, where, 'Date DESC', undefined, undefined,
    undefined, undefined, 1)
  found.listed = listed.body.invoices.length
  const file = await api.createInvoiceAttachmentByFileName(
    id, made.invoiceID, 'note.txt', Buffer.from('hello'), true)
  found.file = file.body.attachments[0].contentLength
  found.report = (await api.getReportBalanceSheet(id)).body.reports[0].reportType
  try {
    await api.createContacts(id, { contacts: [{ name: 'Node Contact' }] })
    found.twice = 'no refusal'
  } catch (error) {
    const said = typeof error === 'string' ? JSON.parse(error) : error
    found.twice = (said.response || said).statusCode
  }
  const before = tokens.refresh_token
  found.refreshed = (await xero.refreshToken()).refresh_token !== before
  await xero.disconnect(tenant.id)
  found.left = (await xero.updateTenants(false)).length
  await xero.revokeToken()
  found.revoked = Object.keys(xero.readTokenSet()).length
}

main().then(
  () => console.log(JSON.stringify(found)),
  (error) => {
    console.error(error.stack || String(error).slice(0, 2000), JSON.stringify(found))
    process.exit(1)
  })
