// An OpenID provider (oidc-provider, certified by the OpenID Foundation), whose keys rotate, and which also signs what no honest
// one would. Run by tests/access/main.rs in the folder whose node_modules has the packages. Prints its port.
//
// POST /token is the provider's own. POST /control {"role": ...} says what it calls the client's role; {"rotate": true} gives it new
// keys; GET /control tells how often its keys were asked for. POST /mint {"alg": ..., "header": {...}, "claims": {...}}
// signs anything: with its own key for the algorithm, or with {"stranger": true} with one that it never showed. Ends with its
// standard input.
import { createHmac } from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.cwd()}/`);
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const { Provider } = await load('oidc-provider');
const { SignJWT, exportJWK, generateKeyPair } = await load('jose');

const AUDIENCE = 'https://ohx.test/api';
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'];
const state = { role: 'integrator', generation: 0, asked: 0 };
const server = http.createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const base = `http://127.0.0.1:${server.address().port}`;

const make = async (alg, kid) => {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { key: privateKey, jwk: { ...(await exportJWK(privateKey)), kid, alg, use: 'sig' } };
};
const strangers = Object.fromEntries(await Promise.all(ALGORITHMS.map(async (alg) => [alg, await make(alg, 'none')])));
let keys;
let callback;
const rotate = async () => {
  state.generation += 1;
  const made = ALGORITHMS.map(async (alg) => [alg, await make(alg, `${alg}-${state.generation}`)]);
  keys = Object.fromEntries(await Promise.all(made));
  const provider = new Provider(base, {
    jwks: { keys: ALGORITHMS.map((alg) => keys[alg].jwk) },
    clients: [{ client_id: 'app', client_secret: 'app-secret', grant_types: ['client_credentials'], response_types: [], redirect_uris: [] }],
    extraTokenClaims: () => ({ ohx_role: state.role }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({ scope: '', audience: AUDIENCE, accessTokenTTL: 300, accessTokenFormat: 'jwt' }),
      },
    },
  });
  callback = provider.callback();
};
await rotate();

const mint = async ({ alg = 'RS256', header = {}, claims = {}, stranger = false }) => {
  const now = Math.floor(Date.now() / 1000);
  const all = { iss: base, aud: AUDIENCE, sub: 'person', iat: now, exp: now + 300, ohx_role: state.role, ...claims };
  const head = { alg, typ: 'at+jwt', kid: keys[alg]?.jwk.kid ?? keys.RS256.jwk.kid, ...header };
  for (const bag of [all, head]) for (const name of Object.keys(bag)) if (bag[name] === null) delete bag[name];
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  if (alg === 'none') return `${part(head)}.${part(all)}.`;
  if (alg === 'HS256') {
    // The classic: the public key as the shared secret.
    const message = `${part(head)}.${part(all)}`;
    return `${message}.${createHmac('sha256', Buffer.from(keys.RS256.jwk.n, 'base64url')).update(message).digest('base64url')}`;
  }
  const { crit, ...plain } = head;
  const token = await new SignJWT(all).setProtectedHeader(plain).sign((stranger ? strangers : keys)[alg].key);
  if (!crit) return token;
  const known = { b64: true };
  return new SignJWT(all).setProtectedHeader({ ...plain, crit, b64: true }).sign(keys[alg].key, { crit: known });
};

const read = (request) =>
  new Promise((done) => {
    const parts = [];
    request.on('data', (part) => parts.push(part)).on('end', () => done(JSON.parse(Buffer.concat(parts).toString() || '{}')));
  });

server.on('request', async (request, response) => {
  const answer = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
  try {
    if (request.url === '/control') {
      if (request.method === 'POST') {
        const { rotate: wanted, ...rest } = await read(request);
        Object.assign(state, rest);
        if (wanted) await rotate();
      }
      return answer(200, state);
    }
    if (request.url === '/mint') return answer(200, { token: await mint(await read(request)) });
    if (request.url === '/jwks') state.asked += 1;
    return callback(request, response);
  } catch (error) {
    return answer(500, { error: String(error) });
  }
});

process.stdin.on('end', () => process.exit(0)).resume();
console.log(server.address().port);
