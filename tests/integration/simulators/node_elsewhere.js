// Sends what xero-node means for Xero to a simulated Xero instead; nothing else is changed.
'use strict'
const http = require('http')
const https = require('https')

const HOSTS = ['identity.xero.com', 'api.xero.com']
const real = https.request

module.exports = (base) => {
  const here = new URL(base)
  https.request = function (given, options, callback) {
    if (typeof options === 'function') [options, callback] = [{}, options]
    const asked = typeof given === 'string' || given instanceof URL ? new URL(given) : given
    const host = asked.hostname || asked.host
    if (!HOSTS.includes(host)) return real.call(https, given, options, callback)
    const path = asked.path || `${asked.pathname}${asked.search || ''}`
    const rest = asked instanceof URL ? { ...options } : { ...asked, ...options }
    for (const name of ['agent', 'agents', 'servername', 'nativeProtocols']) delete rest[name]
    return http.request({
      ...rest, protocol: 'http:', hostname: here.hostname, host: here.hostname, port: here.port, path
    }, callback)
  }
}
