// Set-up from nothing, and the mapping playground. `task.sandbox` says where the simulated provider and EHR are.
import assert from 'node:assert/strict';
import { has, judging, open, signIn, tabTo, task } from '../lib.mjs';

const title = (page) => page.locator('#result-title');
const tested = (page) => page.locator('#check-title');
const focused = (page, id) => page.waitForFunction((id) => document.activeElement?.id === id, id);
const select = (page, id, value) => page.selectOption(`#${id}`, value);

// Saves, and waits for the page that says so.
const saved = async (page) => {
  await page.evaluate(() => { document.body.dataset.before = 'yes'; });
  await press(page, '#edit button[type=submit]');
  await page.locator('body:not([data-before]) .note[role=status]').waitFor();
};
// With the keyboard: to a field, and what is typed there in place of what was.
const type = async (page, id, text) => {
  await tabTo(page, `#${id}`);
  await page.keyboard.press('Control+A');
  if (text) await page.keyboard.type(text);
  else await page.keyboard.press('Delete');
};
const press = async (page, selector, key = 'Tab') => {
  await tabTo(page, selector, key);
  await page.keyboard.press('Enter');
};
// The fold that a field is in.
const unfold = async (page, id) => {
  const fold = page.locator('details', { has: page.locator(`#${id}`) });
  if (!(await fold.evaluate((node) => node.open))) await fold.locator('summary').press('Enter');
};

export default {
  async 'set-up'() {
    const { withings, fhir, secret } = task.sandbox;
    const { found, judge } = judging();
    const page = await open();
    await signIn(page);
    await page.goto(`${task.url}/console/set-up/`);
    await has(page.locator('.next'), 'Add a provider app');
    await judge(page, 'set-up-nothing');
    await press(page, '.next .button');
    await has(page.locator('h1'), 'Add a provider app');
    await judge(page, 'set-up-types');
    await press(page, 'main a[href$="type=withings"]');
    await page.locator('#edit').waitFor();

    // Without a client id yet: the provider asks for the addresses first.
    await tabTo(page, '#name');
    assert.equal(await page.inputValue('#name'), 'withings');
    await type(page, 'name', 'Not a name');
    await press(page, '#edit button[type=submit]');
    await has(title(page), 'Nothing was saved');
    await focused(page, 'result-title');
    assert.equal(await page.getAttribute('#name', 'aria-invalid'), 'true');
    assert.equal(await page.inputValue('#name'), 'Not a name');
    await judge(page, 'set-up-refused');
    await type(page, 'name', 'withings');
    await saved(page);
    await has(page.locator('.note').first(), 'It is added.');
    await has(page.locator('main'), 'the client id is missing');
    assert.match(await page.inputValue('#redirect'), /\/oauth\/callback\/withings$/);
    assert.match(await page.inputValue('#notification'), /\/webhook\/withings$/);
    await page.locator('[data-copy="redirect"]').waitFor();
    await press(page, '#check button[type=submit]');
    await has(tested(page), 'could not begin');
    await focused(page, 'check-title');
    await judge(page, 'set-up-unfinished');

    // Complete, with the simulator's addresses.
    await type(page, 'client_id', task.sandbox.client);
    await type(page, 'secret-client_secret', secret);
    await unfold(page, 'base_url-api');
    await type(page, 'base_url-api', withings);
    await type(page, 'base_url-consent', withings);
    await saved(page);
    await press(page, '#check button[type=submit]');
    await has(tested(page), 'The test went well');
    await has(page.locator('.steps'), 'It takes the client id and the secret');
    await judge(page, 'set-up-well');
    assert.ok(!(await page.content()).includes(secret), 'the secret is not shown');

    // A wrong secret, and a wrong address: what to do.
    await type(page, 'secret-client_secret', 'another-secret');
    await saved(page);
    await press(page, '#check button[type=submit]');
    await has(page.locator('.steps'), 'It refuses the client id or the secret');
    await has(page.locator('.advice'), 'Copy both again');
    await judge(page, 'set-up-badly');
    await unfold(page, 'base_url-api');
    await type(page, 'base_url-api', 'http://127.0.0.1:9');
    await type(page, 'secret-client_secret', secret);
    // Something else is wrong at once; what was typed stays, the secret as well.
    await type(page, 'requests_per_minute', 'many');
    await press(page, '#edit button[type=submit]');
    await has(title(page), 'Nothing was saved');
    await focused(page, 'result-title');
    await has(page.locator('#requests_per_minute-error'), 'whole number');
    assert.equal(await page.inputValue('#secret-client_secret'), secret);
    assert.equal(await page.inputValue('#base_url-api'), 'http://127.0.0.1:9');
    await press(page, 'a[href="#requests_per_minute"]', 'Shift+Tab');
    await focused(page, 'requests_per_minute');
    await type(page, 'requests_per_minute', '0');
    await press(page, '#edit button[type=submit]');
    await has(page.locator('#requests_per_minute-error'), 'at least 1');
    await unfold(page, 'base_url-api');
    await type(page, 'requests_per_minute', '6000');
    await saved(page);
    await press(page, '#check button[type=submit]');
    await has(page.locator('.steps'), 'The provider does not answer');

    // Two people at once: neither loses anything.
    const other = await page.context().newPage();
    await other.goto(page.url());
    await unfold(other, 'base_url-api');
    await other.fill('#base_url-api', withings);
    await other.fill('#client_id', 'ohx-other');
    await other.click('#edit button[type=submit]');
    await has(other.locator('.note').first(), 'It is saved');
    await type(page, 'client_id', task.sandbox.client);
    await type(page, 'secret-client_secret', secret);
    await unfold(page, 'base_url-api');
    await type(page, 'scopes', 'user.metrics');
    await press(page, '#edit button[type=submit]');
    await has(title(page), 'Somebody else has changed this');
    await focused(page, 'result-title');
    assert.equal(await page.inputValue('#scopes'), 'user.metrics');
    assert.equal(await page.inputValue('#secret-client_secret'), secret);
    await has(page.locator('.theirs').first(), 'ohx-other');
    await judge(page, 'set-up-conflict');
    await type(page, 'scopes', '');
    await type(page, 'base_url-api', withings);
    await saved(page);
    await press(page, '#check button[type=submit]');
    await has(tested(page), 'The test went well');

    // The EHR.
    await page.goto(`${task.url}/console/set-up/`);
    await has(page.locator('.next'), 'Add the EHR endpoint');
    await press(page, '.next .button');
    await page.locator('#edit').waitFor();
    await type(page, 'name', 'clinic');
    await type(page, 'base_url', withings);
    await page.locator('#secret-token').waitFor({ state: 'hidden' });
    await judge(page, 'set-up-ehr');
    await press(page, '#edit button[type=submit]');
    await has(page.locator('#client_id-error'), 'Enter the client id');
    await tabTo(page, '#auth');
    await select(page, 'auth', 'none');
    await page.locator('#client_id').waitFor({ state: 'hidden' });
    await saved(page);
    await press(page, '#check button[type=submit]');
    await has(tested(page), 'something to put right');
    await has(page.locator('.advice').first(), 'no FHIR server');
    await type(page, 'base_url', fhir);
    await saved(page);
    await press(page, '#check button[type=submit]');
    await has(tested(page), 'The test went well');
    await has(page.locator('.steps'), 'FHIR 5.0.0');
    await judge(page, 'set-up-ehr-well');

    // What signs has an address of keys to register.
    await select(page, 'auth', 'smart-backend');
    await page.fill('#client_id', 'ohx');
    await page.click('#edit button[type=submit]');
    await page.locator('#jwks').waitFor();
    assert.match(await page.inputValue('#jwks'), /\/\.well-known\/jwks\.json$/);
    await page.click('#check button[type=submit]');
    await has(tested(page), 'something to put right');
    await select(page, 'auth', 'none');
    await page.click('#edit button[type=submit]');
    await page.locator('#jwks').waitFor({ state: 'detached' });

    await page.goto(`${task.url}/console/set-up/`);
    await has(page.locator('.next'), 'All that is needed is there');
    await judge(page, 'set-up-done');
    return found;
  },

  // The same forms without their script.
  async 'set-up-without-script'() {
    const page = await open({ javaScriptEnabled: false });
    await signIn(page);
    await page.goto(`${task.url}/console/set-up/new-ehr/`);
    await page.fill('#name', 'plain');
    await page.fill('#base_url', 'nonsense');
    await select(page, 'auth', 'bearer');
    await page.click('#edit button[type=submit]');
    await has(title(page), 'Nothing was saved');
    await page.locator('#base_url-error:not(:empty)').waitFor();
    await has(page.locator('main'), 'Secrets are not shown again');
    await page.fill('#base_url', task.sandbox.fhir);
    await page.click('#edit button[type=submit]');
    await page.locator('#secret-token-error:not(:empty)').waitFor();
    await page.fill('#secret-token', 'a-token-of-a-test');
    await page.click('#edit button[type=submit]');
    await has(page.locator('.note').first(), 'It is added');
    await page.click('#check button[type=submit]');
    await has(tested(page), 'The test went well');
    return {};
  },

  async mappings() {
    const { found, judge } = judging();
    const page = await open();
    page.on('request', (request) => assert.ok(!request.url().includes('9876543210'), 'a payload in an address'));
    await signIn(page);
    await page.goto(`${task.url}/console/mappings/`);
    await has(page.locator('h1'), 'Mappings');
    await judge(page, 'mappings');
    await page.locator('a[href$="/mappings/withings/getmeas/"]').press('Enter');
    await has(page.locator('h1'), 'withings/getmeas');
    await has(title(page), 'Observation');
    await has(page.locator('#result'), '"resourceType": "Observation"');
    await has(page.locator('#diff'), 'that of the active version');
    await judge(page, 'mapping');

    // A payload of one's own; while one types, the preview follows. Digits stay as they are.
    const payload = '{"status":0,"body":{"timezone":"Europe/Vienna","measuregrps":[{"grpid":9876543210,"date":1704700000,'
      + '"category":1,"attrib":0,"measures":[{"type":1,"value":7210,"unit":-2}]}]}}';
    await tabTo(page, '#payload');
    await page.keyboard.press('Control+A');
    await page.keyboard.insertText(payload);
    await has(title(page), '1 Observation of 1 record');
    await has(page.locator('#result'), '"value": 72.10');

    // A change of the document: what it does to the payload, and to the text.
    const before = await page.inputValue('#document');
    assert.ok(before.includes('text: Body weight'));
    const edit = async (from, to) => {
      const now = await page.inputValue('#document');
      assert.ok(now.includes(from), from);
      await page.evaluate(([from]) => {
        const field = document.getElementById('document');
        const start = field.value.indexOf(from);
        field.focus();
        field.setSelectionRange(start, start + from.length);
      }, [from]);
      await page.keyboard.insertText(to);
    };
    await edit('text: Body weight', 'text: Weight of the body');
    await has(page.locator('#diff .changes'), 'code.text');
    await has(page.locator('#diff .changes'), '"Weight of the body"');
    await has(page.locator('#diff'), '1 added, 1 removed');
    assert.ok(await page.evaluate(() => document.activeElement.id === 'document'), 'the focus stays');
    await judge(page, 'mapping-changed');

    // A mistake is said at its line, and the way there is one key.
    await edit('observe:', 'observed:');
    await has(title(page), 'The document needs a change');
    const link = page.locator('#result a[data-line]');
    await link.waitFor();
    const line = Number(await link.getAttribute('data-line'));
    const lines = (await page.inputValue('#document')).split('\n');
    assert.ok(lines[line - 1].startsWith('observed:'), lines[line - 1]);
    await has(page.locator('.numbers b'), String(line));
    await judge(page, 'mapping-mistake');
    await link.press('Enter');
    await focused(page, 'document');
    const chosen = await page.evaluate(() => {
      const field = document.getElementById('document');
      return field.value.slice(field.selectionStart, field.selectionEnd);
    });
    assert.ok(chosen.startsWith('observed'), chosen);
    await edit('observed:', 'observe:');
    await has(title(page), '1 Observation of 1 record');

    // A payload that is no JSON.
    await tabTo(page, '#payload');
    await page.keyboard.press('Control+End');
    await page.keyboard.type('}');
    await has(title(page), 'The payload cannot be read');
    await page.keyboard.press('Backspace');
    await has(title(page), '1 Observation of 1 record');

    // Validated, saved, active.
    await press(page, 'button[value=check]:not(.away)');
    await has(page.locator('#result'), 'does not hold');
    await focused(page, 'result-title');
    await edit('"text": "Body weight"', '"text": "Weight of the body"');
    await has(title(page), '1 Observation of 1 record');
    await press(page, 'button[value=check]:not(.away)');
    await has(title(page), 'The document is valid');
    await focused(page, 'result-title');
    assert.equal(await page.inputValue('#number'), '1000');
    await type(page, 'remark', 'another text');
    await press(page, 'button[value=save]');
    await has(page.locator('#saved'), 'Version 1000 is saved');
    assert.ok((await page.inputValue('#document')).includes('version: 1000'));
    assert.equal(await page.inputValue('#payload'), payload, 'the payload stays');
    assert.equal(await page.inputValue('#number'), '1001');
    await has(page.locator('.versions'), 'another text');
    const scope = page.locator('.scopes li').first();
    await scope.locator('select').selectOption('1000');
    await scope.locator('text=Activate').press('Enter');
    await has(page.locator('#active .note'), 'It is active from now on');
    await focused(page, 'active-title');
    await has(page.locator('.scopes li').first(), '1000');
    await has(page.locator('#diff'), 'that of the active version');
    assert.equal(await page.inputValue('#payload'), payload, 'the payload stays');
    await judge(page, 'mapping-active');

    // Somebody else is faster.
    const other = await page.context().newPage();
    await other.goto(page.url());
    await other.locator('.scopes li').first().locator('select').selectOption('');
    await other.locator('.scopes li').first().locator('text=Activate').click();
    await has(other.locator('#active .note'), 'It is active');
    await scope.locator('select').selectOption('1000');
    await scope.locator('text=Activate').press('Enter');
    await has(page.locator('#active .error'), 'Nothing was changed');

    // And back.
    await page.locator('.scopes li').first().locator('text=Roll back').press('Enter');
    await has(page.locator('#active .note'), 'What was active before');
    await has(page.locator('.scopes li p').first(), '1000');
    await page.locator('.scopes li').first().locator('text=Roll back').press('Enter');
    await has(page.locator('.scopes li p').first(), "the program's own");
    await page.goto(`${task.url}/console/mappings/withings/getmeas/?version=1000`);
    assert.ok((await page.inputValue('#document')).includes('Weight of the body'));
    assert.ok(!(await page.content()).includes('9876543210'), 'the payload is kept nowhere');
    return found;
  },

  // The playground without its script.
  async 'mappings-without-script'() {
    const page = await open({ javaScriptEnabled: false });
    await signIn(page);
    await page.goto(`${task.url}/console/mappings/withings/getmeas/`);
    const text = await page.inputValue('#document');
    await page.fill('#document', text.replace('observe:', 'observed:'));
    await page.click('button[value=preview]:not(.away)');
    await has(title(page), 'The document needs a change');
    await has(page.locator('#result pre'), '^');
    await page.fill('#document', text.replaceAll('Body weight', 'Plain weight'));
    await page.selectOption('#example', { index: 1 });
    await page.click('button[value=example]');
    await has(title(page), 'Observation');
    await has(page.locator('#diff'), '2 added, 2 removed');
    const number = await page.inputValue('#number');
    await page.click('button[value=save]');
    await has(page.locator('#saved'), `Version ${number} is saved`);
    await page.locator('.scopes select').first().selectOption(number);
    await page.click('.scopes li:first-child button:has-text("Activate")');
    await has(page.locator('#active .note'), 'It is active from now on');
    await page.click('.scopes li:first-child button:has-text("Roll back")');
    await has(page.locator('#active .note'), 'What was active before');
    return {};
  },
};
