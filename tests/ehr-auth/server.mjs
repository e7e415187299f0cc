// An authorization server (oidc-provider, certified by the OpenID Foundation) and, behind it, an EHR's FHIR base that
// asks for its access tokens. Run by tests/ehr-auth/main.rs:
//
//     node server.mjs '{"jwks_uri": "http://...", "secret": "...", "algorithms": ["ES384"], "alg": "ES384", "fhir": "http://..."}'
//
// in the folder whose node_modules has the packages. Prints its port. POST /control with {"advance": seconds} moves its
// clock, {"drop": ["scope"]} makes it grant less, {"refuse": n} lets the FHIR base answer the next n requests with 401,
// {"lasts": seconds} sets how long tokens last. GET /control tells what was asked for. Ends with its standard input.
import http from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.cwd()}/`);
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);

// The clock comes before the libraries, so that they take the time from it.
const RealDate = Date;
let offset = 0;
globalThis.Date = class extends RealDate {
  constructor(...given) {
    if (given.length) super(...given);
    else super(RealDate.now() + offset);
  }

  static now() {
    return RealDate.now() + offset;
  }
};

const { Provider } = await load('oidc-provider');
const { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify } = await load('jose');

const setup = JSON.parse(process.argv[2]);
const state = { drop: [], refuse: 0, lasts: 300, tokens: [], fhir: [] };

const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true });
const own = { ...(await exportJWK(privateKey)), kid: 'own', alg: 'RS256', use: 'sig' };
const verifying = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), kid: 'own', alg: 'RS256', use: 'sig' }] });

const server = http.createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const base = `http://127.0.0.1:${server.address().port}`;
const resource = `${base}/fhir`;

const machine = { grant_types: ['client_credentials'], response_types: [], redirect_uris: [] };
const provider = new Provider(base, {
  jwks: { keys: [own] },
  clockTolerance: 5,
  clientAuthMethods: ['private_key_jwt', 'client_secret_basic', 'client_secret_post'],
  enabledJWA: { clientAuthSigningAlgValues: ['ES384', 'RS384'] },
  clients: [
    { client_id: 'ohx', token_endpoint_auth_method: 'private_key_jwt', jwks_uri: setup.jwks_uri, token_endpoint_auth_signing_alg: setup.alg, ...machine },
    { client_id: 'ohx basic:1', token_endpoint_auth_method: 'client_secret_basic', client_secret: setup.secret, ...machine },
    { client_id: 'ohx-body', token_endpoint_auth_method: 'client_secret_post', client_secret: setup.secret, ...machine },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      // A scope that is not among these is left out without a word.
      getResourceServerInfo: () => ({
        scope: setup.scopes.filter((scope) => !state.drop.includes(scope)).join(' '),
        audience: resource,
        accessTokenTTL: state.lasts,
        accessTokenFormat: 'jwt',
      }),
    },
  },
  ttl: { ClientCredentials: () => state.lasts },
  // Its own fetch wants an agent of its own; ours reads our JWKS over plain HTTP on this machine.
  fetch: (url, options) => fetch(url, { method: options.method, headers: options.headers }),
});
provider.on('server_error', (_, error) => console.error(error));
const authorization = provider.callback();

const read = (request) =>
  new Promise((done) => {
    const parts = [];
    request.on('data', (part) => parts.push(part)).on('end', () => done(Buffer.concat(parts)));
  });

const answer = (response, status, body) => {
  response.writeHead(status, { 'content-type': 'application/json', date: new Date().toUTCString() });
  response.end(JSON.stringify(body));
};

const ALLOWS = { GET: 's', POST: 'c', PUT: 'u' };

// Whether a token allows what a request does: SMART scopes of version 2.
const allows = (scope, method, path, body) => {
  const granted = scope.split(' ').map((one) => one.match(/^system\/(\w+)\.(\w+)$/)).filter(Boolean);
  const may = (kind, letter) => granted.some(([, k, letters]) => k === kind && letters.includes(letter));
  const kind = path.split(/[/?]/)[1];
  if (kind === 'metadata') return true;
  if (kind) return may(kind, path.includes('_search') ? 's' : ALLOWS[method]);
  return JSON.parse(body).entry.every(({ request }) => may(request.url.split(/[/?]/)[0], ALLOWS[request.method]));
};

const fhir = async (request, response) => {
  const path = request.url.slice('/fhir'.length);
  if (path === '/.well-known/smart-configuration') {
    state.smart = (state.smart ?? 0) + 1;
    return answer(response, 200, {
      token_endpoint: `${base}/token`,
      grant_types_supported: ['client_credentials'],
      token_endpoint_auth_methods_supported: ['private_key_jwt'],
      token_endpoint_auth_signing_alg_values_supported: setup.algorithms,
      scopes_supported: setup.scopes,
      capabilities: ['client-confidential-asymmetric', 'permission-v2'],
    });
  }
  const body = await read(request);
  const outcome = (status, code) => {
    state.fhir.push(status);
    answer(response, status, { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code }] });
  };
  if (state.refuse > 0) {
    state.refuse -= 1;
    return outcome(401, 'login');
  }
  let claims;
  try {
    const token = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    claims = (await jwtVerify(token, verifying, { issuer: base, audience: resource, clockTolerance: 0 })).payload;
  } catch {
    return outcome(401, 'login');
  }
  if (!allows(claims.scope ?? '', request.method, path, body)) return outcome(403, 'forbidden');
  const { host, authorization: _, 'content-length': __, connection: ___, ...headers } = request.headers;
  const sent = body.length ? body : undefined;
  const got = await fetch(setup.fhir + path, { method: request.method, headers, body: sent, redirect: 'manual' });
  state.fhir.push(got.status);
  response.writeHead(got.status, { 'content-type': got.headers.get('content-type') ?? 'text/plain' });
  response.end(Buffer.from(await got.arrayBuffer()));
};

const control = async (request, response) => {
  if (request.method === 'POST') {
    const { advance = 0, ...rest } = JSON.parse(await read(request));
    offset += advance * 1000;
    Object.assign(state, rest);
  }
  answer(response, 200, state);
};

server.on('request', (request, response) => {
  if (request.url.startsWith('/fhir')) return fhir(request, response);
  if (request.url === '/control') return control(request, response);
  if (request.url === '/token') {
    // What was posted is noted on the way; the library reads it itself.
    const parts = [];
    request.on('data', (part) => parts.push(part));
    response.on('finish', () => {
      const form = Object.fromEntries(new URLSearchParams(Buffer.concat(parts).toString()));
      state.tokens.push({ status: response.statusCode, form, basic: request.headers.authorization ?? null });
    });
  }
  // Its Date header is that of its clock.
  response.sendDate = false;
  response.setHeader('date', new Date().toUTCString());
  return authorization(request, response);
});

process.stdin.on('end', () => process.exit(0)).resume();
console.log(server.address().port);
