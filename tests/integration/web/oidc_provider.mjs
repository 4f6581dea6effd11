// A certified OpenID Connect provider on a free loopback port: node oidc_provider.mjs <node_modules> <redirect base>
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [modules, base] = process.argv.slice(2)
const { default: Provider } = await import(pathToFileURL(join(modules, 'oidc-provider/lib/index.js')).href)

function key(alg, type, options) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg }
}

const people = {
  ana: { preferred_username: 'ana', email: 'ana@plant.example', groups: ['visitors', 'plant-engineers'] },
  bo: { preferred_username: 'bo', groups: ['plant-admins', 'plant-engineers'] },
  eve: { preferred_username: 'eve', groups: ['visitors'] },
}

function client(name, more) {
  return {
    client_id: name,
    client_secret: `secret of ${name}: +%&=`,
    redirect_uris: [`${base}/api/v1/session/oidc/${name}/callback`],
    id_token_signed_response_alg: 'RS256',
    ...more,
  }
}

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    clients: [
      client('basic'),
      client('post', { token_endpoint_auth_method: 'client_secret_post', id_token_signed_response_alg: 'ES256' }),
      client('public', { token_endpoint_auth_method: 'none', client_secret: undefined, id_token_signed_response_alg: 'EdDSA' }),
    ],
    jwks: {
      keys: [key('RS256', 'rsa', { modulusLength: 2048 }), key('ES256', 'ec', { namedCurve: 'P-256' }), key('EdDSA', 'ed25519')],
    },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'] },
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email'] },
    conformIdTokenClaims: false, // in the token for "basic"; the others read userinfo anyway
    cookies: { keys: ['only for this test'] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  })
  server.on('request', provider.callback())
  console.log(issuer)
})
process.stdin.on('end', () => process.exit(0)).resume() // whoever started it is gone
