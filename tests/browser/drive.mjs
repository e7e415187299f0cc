// Drives Chromium through the console. Run by tests/browser/main.rs:
//
//     node drive.mjs '{"scenario": "keyboard", "url": "http://127.0.0.1:...", "key": "...", "files": "/tmp/..."}'
//
// in the folder whose node_modules has the packages. Prints what it found as one line of JSON; ends with 1 and what is
// wrong otherwise. With "pictures": a folder, it keeps pictures of what it saw there. The scenarios are what the files of
// scenarios/ export.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { browser, task, wrong } from './lib.mjs';

const folder = new URL('scenarios/', import.meta.url);
const scenarios = {};
for (const name of fs.readdirSync(folder).filter((name) => name.endsWith('.mjs'))) {
  Object.assign(scenarios, (await import(new URL(name, folder).href)).default);
}

try {
  const found = await scenarios[task.scenario]();
  assert.deepEqual(wrong, []);
  console.log(JSON.stringify(found));
} catch (error) {
  console.error(error, wrong);
  process.exitCode = 1;
} finally {
  await browser.close();
}
