// What the readme of quickbooks-node-promise shows, done to a simulated company.
// node node_promise.js BASE; prints one JSON object of what was found.
'use strict'
const Quickbooks = require('quickbooks-node-promise')

const base = process.argv[2]
const Class = Quickbooks.default || Quickbooks
// Only the addresses are other ones.
const elsewhere = {
  AUTHORIZATION_URL: '/connect/oauth2',
  TOKEN_URL: '/oauth2/v1/tokens/bearer',
  USER_INFO_URL: '/v1/openid_connect/userinfo',
  REVOKE_URL: '/v2/oauth2/tokens/revoke',
  JWKS_URL: '/op/v1/jwks',
  V3_ENDPOINT_BASE_URL: '/v3/company/'
}
for (const [name, path] of Object.entries(elsewhere)) Class[name] = base + path

const found = {}
const realms = {}
const config = {
  appKey: 'promised',
  appSecret: 'secret',
  redirectUrl: 'http://localhost:8765/callback',
  scope: [Class.scopes.Accounting, Class.scopes.OpenId, Class.scopes.Profile, Class.scopes.Email],
  webhookVerifierToken: 'verifier',
  getToken: (realm) => Promise.resolve(realms[realm]),
  saveToken: (realm, token) => { realms[realm] = token; return Promise.resolve(token) }
}
const sale = (amount) => ({
  Amount: amount,
  DetailType: 'SalesItemLineDetail',
  SalesItemLineDetail: { ItemRef: { value: '1' } }
})

async function consent () {
  const state = 'a state'
  const answer = await fetch(Class.authorizeUrl(config, state), { redirect: 'manual' })
  const given = new URL(answer.headers.get('location')).searchParams
  found.state = given.get('state') === state
  const qbo = new Class(config, given.get('realmId'))
  await qbo.createToken(given.get('code'))
  const before = realms[qbo.realmID].refresh_token
  await qbo.refreshAccessToken()
  found.rotated = realms[qbo.realmID].refresh_token !== before
  found.person = Boolean((await qbo.getUserInfo()).email)
  return qbo
}

async function books (qbo) {
  const customer = (await qbo.createCustomer({ DisplayName: 'Promise' })).Customer
  const changed = await qbo.updateCustomer({ ...customer, Notes: 'kept', sparse: true })
  found.notes = changed.Customer.Notes
  found.byName = (await qbo.findCustomers({ DisplayName: 'Promise' })).QueryResponse.maxResults
  const like = { field: 'DisplayName', value: 'Prom%', operator: 'LIKE' }
  found.like = (await qbo.countCustomers(like)).QueryResponse.totalCount
  const ordered = await qbo.findCustomers({ desc: 'Id', limit: 2, offset: 1 })
  found.ordered = ordered.QueryResponse.Customer.length
  found.all = (await qbo.findInvoices({ fetchAll: true, limit: 10 })).QueryResponse.Invoice.length
  const who = { CustomerRef: { value: customer.Id } }
  const invoice = (await qbo.createInvoice({ ...who, Line: [sale(70)] })).Invoice
  found.pdf = Buffer.from(await qbo.getInvoicePdf(invoice.Id)).toString('latin1').slice(0, 4)
  const sent = await qbo.sendInvoicePdf(invoice.Id, 'a@b.example')
  found.sent = (sent.Invoice || sent).EmailStatus
  const file = await qbo.upload('a.txt', 'text/plain', Buffer.from('hello'), 'Invoice', invoice.Id)
  found.file = (file.AttachableResponse || [file])[0].Attachable.FileName
  const link = { Amount: 70, LinkedTxn: [{ TxnId: invoice.Id, TxnType: 'Invoice' }] }
  const payment = (await qbo.createPayment({ ...who, TotalAmt: 70, Line: [link] })).Payment
  found.paid = (await qbo.getInvoice(invoice.Id)).Invoice.Balance
  await qbo.deletePayment(payment)
  found.open = (await qbo.getInvoice(invoice.Id)).Invoice.Balance
  found.voided = (await qbo.voidInvoice(await (await qbo.getInvoice(invoice.Id)).Invoice))
    .Invoice.TotalAmt
  const gone = (await qbo.createEstimate({ ...who, Line: [sale(5)] })).Estimate
  found.gone = (await qbo.deleteEstimate(gone)).Estimate.status
  const items = [{ bId: '1', operation: 'create', Vendor: { DisplayName: 'In a batch' } }]
  found.batch = (await qbo.batch(items)).BatchItemResponse[0].Vendor.DisplayName
  const since = new Date(Date.now() - 3600000)
  const feed = await qbo.changeDataCapture(['Customer', 'Invoice'], since)
  found.feed = feed.CDCResponse[0].QueryResponse.length
  found.preferences = Boolean((await qbo.getPreferences()).Preferences.SalesFormsPrefs)
  const report = await qbo.reportBalanceSheet({ date_macro: 'This Fiscal Year' })
  found.report = report.Header.ReportName
  const tax = { TaxRateName: 'Promised', RateValue: 5, TaxAgencyId: '1', TaxApplicableOn: 'Sales' }
  found.tax = (await qbo.createTaxService({ TaxCode: 'Promised', TaxRateDetails: [tax] })).TaxCode
  try {
    await qbo.createCustomer({ DisplayName: 'Promise' })
  } catch (error) {
    found.refused = JSON.stringify(error).includes('6240')
  }
  const other = await qbo.revokeAccess()
  found.revoked = Boolean(other)
}

consent().then(books).then(
  () => console.log(JSON.stringify(found)),
  (error) => {
    console.error(JSON.stringify(found), error, JSON.stringify(error))
    process.exitCode = 1
  }
)
