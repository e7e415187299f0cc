// A FHIR R5 server in memory: Medplum's router and repository behind a little HTTP.
//
//     node server.mjs MODULES DEFINITIONS
//
// MODULES is the folder that `npm ci` was run in, DEFINITIONS the unpacked package hl7.fhir.r5.core. It listens on a free
// port of 127.0.0.1, prints the FHIR base as one line once it answers, and ends when its standard input does.
//
// What is Medplum's: routes, bundles, conditional writes, matching of searches, validation. What is added here: HTTP,
// the CapabilityStatement, an index of identifiers, pages of a search, and that what is written is validated (Medplum's own
// server does so too).

import { createRequire } from 'node:module';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

const [modules, definitions] = process.argv.slice(2);
const require = createRequire(join(modules, 'package.json'));
const core = require('@medplum/core');
const { FhirRouter, MemoryRepository } = require('@medplum/fhir-router');

const PAGE = 20;
const TYPES = ['Device', 'DeviceAssociation', 'DeviceDefinition', 'Observation', 'Organization', 'Patient', 'Provenance'];

// --- The definitions --------------------------------------------------------------------------------------------

const read = (name) => JSON.parse(readFileSync(join(definitions, name), 'utf8'));
const files = (prefix) => readdirSync(definitions).filter((n) => n.startsWith(prefix) && n.endsWith('.json')).map(read);
// Types, and profiles on what is written here; Medplum cannot read some of the others.
const profile = (s) => s.derivation === 'constraint';
const structures = files('StructureDefinition-').filter((s) => s.snapshot && (!profile(s) || s.type === 'Observation'));
structures.sort((a, b) => profile(a) - profile(b));
core.indexStructureDefinitionBundle(structures);
files('SearchParameter-').filter((p) => !p.id.startsWith('example')).forEach((p) => core.indexSearchParameter(p));

// --- The repository ---------------------------------------------------------------------------------------------

class Repository extends MemoryRepository {
  // Ids by type and identifier: Medplum's repository in memory looks at every resource for every search.
  known = new Map();

  async createResource(resource) {
    core.validateResource(resource);
    const created = await super.createResource(resource);
    for (const { system, value } of created.identifier ?? []) {
      const key = `${created.resourceType} ${system}|${value}`;
      this.known.set(key, (this.known.get(key) ?? new Set()).add(created.id));
    }
    return created;
  }

  candidates(request) {
    const all = this.resources.get(request.resourceType) ?? new Map();
    const filter = request.filters?.find((f) => ['_id', 'identifier'].includes(f.code) && f.operator === 'eq');
    if (!filter) {
      return [...all.values()];
    }
    const named = (value) => this.known.get(`${request.resourceType} ${value}`) ?? [];
    const ids = filter.value.split(',').flatMap((value) => (filter.code === '_id' ? [value] : [...named(value)]));
    return [...new Set(ids)].filter((id) => all.has(id)).map((id) => all.get(id));
  }

  // At most a page at once, as any real server.
  async search(request) {
    const found = this.candidates(request).filter((resource) => core.matchesSearchRequest(resource, request));
    const count = Math.min(request.count ?? PAGE, PAGE);
    const offset = request.offset ?? 0;
    const entry = found.slice(offset, offset + count).map((resource) => ({ resource: core.deepClone(resource) }));
    const bundle = { resourceType: 'Bundle', type: 'searchset', entry, total: found.length };
    if (offset + count < found.length) {
      const query = core.formatSearchQuery({ ...request, count, offset: offset + count });
      bundle.link = [{ relation: 'next', url: `${base}/${request.resourceType}${query}` }];
    }
    return bundle;
  }
}

const repository = new Repository();
const router = new FhirRouter();

const interaction = ['read', 'vread', 'update', 'patch', 'delete', 'history-instance', 'create', 'search-type'];
const capabilities = () => ({
  resourceType: 'CapabilityStatement',
  status: 'active',
  date: '2026-01-01',
  kind: 'instance',
  fhirVersion: '5.0.0',
  format: ['json'],
  rest: [
    {
      mode: 'server',
      interaction: [{ code: 'batch' }, { code: 'transaction' }],
      resource: TYPES.map((type) => ({
        type,
        interaction: interaction.map((code) => ({ code })),
        versioning: 'versioned-update',
        updateCreate: true,
        conditionalCreate: true,
        conditionalUpdate: true,
        searchParam: [{ name: 'identifier', type: 'token' }],
      })),
    },
  ],
});

// --- HTTP -------------------------------------------------------------------------------------------------------

let base;

const parse = (request, text) => {
  if (request.headers['content-type']?.startsWith('application/x-www-form-urlencoded')) {
    return Object.fromEntries(new URLSearchParams(text));
  }
  return text === '' ? undefined : JSON.parse(text);
};

async function answer(request, text) {
  const url = request.url.replace(/^\/fhir\/?/, '');
  if (url === 'metadata') {
    return [core.allOk, capabilities()];
  }
  let body;
  try {
    body = parse(request, text);
  } catch {
    return [core.badRequest('The body is not JSON')];
  }
  return router.handleRequest(
    { method: request.method, url, body, params: {}, query: {}, headers: request.headers, config: { transactions: true } },
    repository,
  );
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  const [outcome, resource] = await answer(request, Buffer.concat(chunks).toString());
  const headers = { 'content-type': 'application/fhir+json; charset=utf-8' };
  if (resource?.meta?.versionId) {
    headers.etag = `W/"${resource.meta.versionId}"`;
    headers.location = `${base}/${resource.resourceType}/${resource.id}`;
  }
  response.writeHead(core.getStatus(outcome), headers);
  response.end(JSON.stringify(resource ?? outcome));
});

server.listen(0, '127.0.0.1', () => {
  base = `http://127.0.0.1:${server.address().port}/fhir`;
  console.log(base);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
