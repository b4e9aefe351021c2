// What the READMEs of node-quickbooks and intuit-oauth show, done to a simulated company.
// node node_quickbooks.js BASE REALM REFRESH_TOKEN; prints one JSON object of what was found.
'use strict'
const { Readable } = require('stream')
const QuickBooks = require('node-quickbooks')
const OAuthClient = require('intuit-oauth')

const [base, realm, refreshToken] = process.argv.slice(2)
const FULL = `${base}/v3/company/`
// Only the addresses are other ones.
QuickBooks.V3_ENDPOINT_BASE_URL = FULL
QuickBooks.TOKEN_URL = `${base}/oauth2/v1/tokens/bearer`
QuickBooks.REVOKE_URL = `${base}/v2/oauth2/tokens/revoke`
OAuthClient.authorizeEndpoint = `${base}/connect/oauth2`
OAuthClient.tokenEndpoint = `${base}/oauth2/v1/tokens/bearer`
OAuthClient.revokeEndpoint = `${base}/v2/oauth2/tokens/revoke`
OAuthClient.userinfo_endpoint_sandbox = `${base}/v1/openid_connect/userinfo`
OAuthClient.jwks_uri = `${base}/op/v1/jwks`

const found = {}
const call = (qbo, name, ...given) => new Promise((resolve, reject) => {
  qbo[name](...given, (error, answer) => {
    if (error) reject(Object.assign(new Error(name), { answer: error }))
    else resolve(answer)
  })
})
const sale = (amount) => ({
  Amount: amount,
  DetailType: 'SalesItemLineDetail',
  SalesItemLineDetail: { ItemRef: { value: '1' } }
})

async function books () {
  const qbo = new QuickBooks('app', 'secret', 'none yet', false, realm, true, false, null, '2.0',
    refreshToken)
  const renewed = await call(qbo, 'refreshAccessToken')
  found.rotated = renewed.refresh_token !== refreshToken

  const note = await call(qbo, 'createAttachable', { Note: 'My File' })
  found.note = note.Note
  found.byNote = (await call(qbo, 'findAttachables', { Note: 'My File' })).QueryResponse.maxResults
  const customer = await call(qbo, 'createCustomer', { DisplayName: 'Node customer' })
  const changed = await call(qbo, 'updateCustomer', {
    Id: customer.Id,
    SyncToken: customer.SyncToken,
    sparse: true,
    PrimaryEmailAddr: { Address: 'customer@example.com' }
  })
  found.email = changed.PrimaryEmailAddr.Address
  const invoice = await call(qbo, 'createInvoice', {
    CustomerRef: { value: customer.Id }, Line: [sale(70)], requestId: 'node-1'
  })
  const same = await call(qbo, 'createInvoice', {
    CustomerRef: { value: customer.Id }, Line: [sale(70)], requestId: 'node-1'
  })
  found.once = same.Id === invoice.Id
  found.pdf = (await call(qbo, 'getInvoicePdf', invoice.Id)).toString('latin1').slice(0, 4)
  found.sent = (await call(qbo, 'sendInvoicePdf', invoice.Id, 'a@b.example')).EmailStatus
  const file = await call(qbo, 'upload', 'photo.jpg', 'image/jpeg',
    Readable.from([Buffer.from('not really a photo')]), 'Invoice', invoice.Id)
  found.file = [file.FileName, file.AttachableRef[0].EntityRef.value === invoice.Id]
  await call(qbo, 'deleteAttachable', file.Id)

  const accounts = await call(qbo, 'findAccounts', {
    AccountType: 'Expense', desc: 'MetaData.LastUpdatedTime', limit: 5, offset: 1
  })
  found.accounts = accounts.QueryResponse.Account.length
  const everyone = await call(qbo, 'findCustomers', { fetchAll: true })
  found.everyone = everyone.QueryResponse.Customer.length
  const count = await call(qbo, 'findCustomers', { count: true })
  found.count = count.QueryResponse.totalCount
  const dated = await call(qbo, 'findInvoices', [
    { field: 'TxnDate', value: '2014-12-01', operator: '>' },
    { field: 'Balance', value: '0', operator: '>' },
    { field: 'limit', value: 5 }
  ])
  found.dated = dated.QueryResponse.Invoice.length
  const since = new Date(Date.now() - 3600 * 1000)
  const changes = await call(qbo, 'changeDataCapture', ['Invoice', 'Customer'], since)
  found.changes = changes.CDCResponse[0].QueryResponse.length
  const batch = await call(qbo, 'batch', [
    { bId: '1', operation: 'create', Customer: { DisplayName: 'Node customer' } },
    { bId: '2', operation: 'create', Vendor: { DisplayName: 'Node vendor' } },
    { bId: '3', Query: 'select * from Item maxresults 2' }
  ])
  found.batch = batch.BatchItemResponse.map(
    (item) => item.Fault ? item.Fault.Error[0].code : Object.keys(item)[1])
  found.voided = (await call(qbo, 'voidInvoice', invoice.Id)).Invoice.TotalAmt
  try {
    await call(qbo, 'getCustomer', '99999')
  } catch (error) {
    found.refusal = error.answer.response
      ? error.answer.response.data.Fault.Error[0].code
      : error.answer.Fault.Error[0].code
  }
}

async function consent () {
  const client = new OAuthClient({
    clientId: 'node-app',
    clientSecret: 'secret',
    environment: 'sandbox',
    redirectUri: 'http://localhost:8000/callback'
  })
  const url = client.authorizeUri({
    scope: [OAuthClient.scopes.Accounting, OAuthClient.scopes.OpenId, OAuthClient.scopes.Email],
    state: 'testState'
  })
  const answer = await fetch(url, {
    method: 'POST',
    body: new URLSearchParams({ answer: 'approve' }),
    redirect: 'manual'
  })
  const back = answer.headers.get('location')
  const token = (await client.createToken(back)).getJson()
  found.expires = token.expires_in
  found.realm = client.getToken().realmId
  found.idToken = await client.validateIdToken()
  found.user = (await client.getUserInfo()).json.email
  const info = await client.makeApiCall({ url: `${FULL}${realm}/companyinfo/${realm}` })
  found.company = info.json.CompanyInfo.CompanyName
  const before = token.refresh_token
  found.refreshed = (await client.refresh()).getJson().refresh_token !== before
  found.revoked = (await client.revoke()).response.status
}

books().then(consent).then(
  () => console.log(JSON.stringify(found)),
  (error) => {
    const answer = error.answer || {}
    const data = answer.response ? answer.response.data : answer
    console.error(error.stack, JSON.stringify(data).slice(0, 1500), JSON.stringify(found))
    process.exit(1)
  })
