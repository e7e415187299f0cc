// Drives Chromium through the console. Run by tests/browser/main.rs:
//
//     node drive.mjs '{"scenario": "keyboard", "url": "http://127.0.0.1:...", "key": "...", "files": "/tmp/..."}'
//
// in the folder whose node_modules has the packages. Prints what it found as one line of JSON; ends with 1 and what is
// wrong otherwise. With "pictures": a folder, it keeps pictures of what it saw there.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.cwd()}/`);
const { chromium } = (await import(pathToFileURL(require.resolve('playwright-core')).href)).default;
const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const task = JSON.parse(process.argv[2]);
const host = new URL(task.url).host;
const file = (name) => `${task.files}/${name}.csv`;

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-dev-shm-usage'],
});

// A page that notes whatever must not happen.
const wrong = [];
const open = async (options = {}) => {
  const context = await browser.newContext({ timezoneId: 'Europe/Vienna', locale: 'en-GB', ...options });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  page.on('request', (request) => {
    if (new URL(request.url()).host !== host) wrong.push(`a request to ${request.url()}`);
    if (request.url().includes(task.key)) wrong.push('the key in an address');
  });
  page.on('console', (message) => {
    // A form that is answered with 403 or 422 is an error to the browser, and as it should be.
    const expected = /Failed to load resource: the server responded with a status of (403|404|422)/;
    if (message.type() === 'error' && !expected.test(message.text())) wrong.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => wrong.push(`script: ${error.message}`));
  return page;
};

// Presses Tab until the focus is on what the selector says.
const tabTo = async (page, selector, key = 'Tab') => {
  for (let n = 0; n < 60; n += 1) {
    if (await page.evaluate((s) => Boolean(document.activeElement?.matches(s)), selector)) return;
    await page.keyboard.press(key);
  }
  assert.fail(`the keyboard does not come to ${selector}`);
};

const title = (page) => page.locator('#result-title');
const has = async (locator, text) => {
  await locator.filter({ hasText: text }).waitFor();
};
const focused = (page) => page.waitForFunction(() => document.activeElement?.id === 'result-title');
const counts = async (page) => {
  await page.locator('#progress[data-done]').waitFor();
  const names = await page.locator('.counts dt').allTextContents();
  const numbers = await page.locator('.counts dd').allTextContents();
  return Object.fromEntries(names.map((name, n) => [name.toLowerCase(), Number(numbers[n])]));
};

const signIn = async (page) => {
  await page.goto(`${task.url}/console/`);
  await page.fill('#key', task.key);
  await page.click('main button');
  await has(page.locator('h1'), 'Import a file');
};

const scenarios = {
  async keyboard() {
    const page = await open();
    await page.goto(`${task.url}/console/`);
    assert.equal(new URL(page.url()).pathname, '/console/sign-in/');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
    await tabTo(page, '#key');
    await page.keyboard.type('not-the-key-of-this-exchange-but-as-long');
    await page.keyboard.press('Enter');
    await has(page.locator('#key-error'), 'does not take this key');
    assert.equal(await page.inputValue('#key'), '');
    await tabTo(page, '#key');
    await page.keyboard.type(task.key);
    await page.keyboard.press('Enter');
    await has(page.locator('h1'), 'Import a file');

    await tabTo(page, '#link');
    await page.keyboard.press('ArrowDown');
    await tabTo(page, '#zone');
    assert.equal(await page.inputValue('#zone'), 'Europe/Vienna');
    await page.locator('#zone-own').waitFor();
    await page.keyboard.press('Control+A');
    await page.keyboard.type('Europe/Berlin');
    await page.locator('#zone-own').waitFor({ state: 'hidden' });
    await page.keyboard.press('Escape');
    await tabTo(page, '#file');
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Space')]);
    await chooser.setFiles(file('german'));
    await tabTo(page, 'button[formaction]');
    await page.keyboard.press('Enter');
    await has(title(page), '3 readings can be imported');
    await focused(page);
    assert.equal(await page.locator('#progress').count(), 0);
    await has(page.locator('#result'), 'Nothing was imported yet.');

    // The file is still chosen.
    assert.equal(await page.evaluate(() => document.getElementById('file').files[0]?.name), 'german.csv');
    await tabTo(page, '#import button:not([formaction])', 'Shift+Tab');
    await page.keyboard.press('Enter');
    await has(title(page), '3 readings taken from the file');
    await focused(page);
    const first = await counts(page);
    await has(page.locator('#progress-title'), 'All at the EHR');
    assert.ok(first.new > 3 && first.rejected === 0, JSON.stringify(first));

    await tabTo(page, '#import button:not([formaction])', 'Shift+Tab');
    await page.keyboard.press('Enter');
    await has(page.locator('#progress-title'), 'Nothing changed');
    const again = await counts(page);
    assert.deepEqual(again, { new: 0, updated: 0, unchanged: first.new, rejected: 0 });

    await tabTo(page, '.leave button', 'Shift+Tab');
    await page.keyboard.press('Enter');
    await has(page.locator('.note'), 'You are signed out.');
    await page.goto(`${task.url}/console/import/`);
    assert.equal(new URL(page.url()).pathname, '/console/sign-in/');
    await page.goBack();
    assert.equal(await page.locator('#import').count(), 0, 'nothing is left in the browser');
    return { created: first.new };
  },

  async ambiguous() {
    const page = await open();
    await signIn(page);
    await page.selectOption('#link', { index: 1 });
    await page.setInputFiles('#file', file('english'));
    await page.fill('#zone', 'Europe/Berlin');
    await page.click('text=Check');
    await has(title(page), 'Nothing was imported');
    await focused(page);
    await has(page.locator('#date_order-error'), 'day first and month first');
    assert.equal(await page.getAttribute('#date_order', 'aria-invalid'), 'true');
    await page.click('#result a');
    await page.waitForFunction(() => document.activeElement?.id === 'date_order');
    await page.check('input[value=dmy]');
    await page.click('#import button:not([formaction])');
    await has(title(page), '2 readings taken from the file');
    await has(page.locator('#result'), 'Dates were read day first.');
    assert.equal(await page.textContent('#date_order-error'), '');
    assert.equal(await page.getAttribute('#date_order', 'aria-invalid'), null);
    await counts(page);
    await has(page.locator('#progress-title'), 'All at the EHR');

    // A zone that does not exist, at its field; and a sign-in that has ended meanwhile leads to the sign-in page.
    await page.fill('#zone', 'Mars/Olympus');
    await page.click('text=Check');
    await has(page.locator('#zone-error'), 'no time zone is called that');
    await page.context().clearCookies();
    await page.click('text=Check');
    await page.waitForURL('**/console/sign-in/**');
    return {};
  },

  async 'without-script'() {
    const page = await open({ javaScriptEnabled: false });
    await page.goto(`${task.url}/console/`);
    await page.fill('#key', 'not-the-key-of-this-exchange-but-as-long');
    await page.click('main button');
    await has(page.locator('#key-error'), 'does not take this key');
    await signIn(page);
    const choose = async () => {
      await page.selectOption('#link', { index: 1 });
      await page.fill('#zone', 'Europe/Berlin');
      await page.setInputFiles('#file', file('english'));
    };
    await choose();
    await page.click('text=Check');
    await has(title(page), 'Nothing was imported');
    await has(page.locator('#date_order-error'), 'day first and month first');
    assert.equal(await page.inputValue('#zone'), 'Europe/Berlin');
    await page.check('input[value=dmy]');
    await page.setInputFiles('#file', file('english'));
    await page.click('text=Check');
    await has(title(page), '2 readings can be imported');
    await has(page.locator('#result'), 'choose the file again');
    assert.ok(await page.isChecked('input[value=dmy]'));
    const bring = async (expected) => {
      await page.setInputFiles('#file', file('english'));
      await page.click('#import button:not([formaction])');
      await has(title(page), '2 readings taken from the file');
      for (let n = 0; n < 300 && (await page.locator('#progress[data-done]').count()) === 0; n += 1) {
        await page.click('text=Look again');
      }
      await has(page.locator('#progress-title'), expected);
    };
    await bring('All at the EHR');
    await page.goto(`${task.url}/console/import/`);
    await choose();
    await page.check('input[value=dmy]');
    await bring('Nothing changed');
    await page.click('text=Sign out');
    await has(page.locator('.note'), 'You are signed out.');
    return {};
  },

  async axe() {
    const found = { states: 0, passes: 0, violations: [] };
    const judge = async (page, state) => {
      found.states += 1;
      const session = await page.context().newCDPSession(page);
      for (const colorScheme of ['light', 'dark']) {
        for (const width of [360, 1280]) {
          await page.emulateMedia({ colorScheme });
          await page.setViewportSize({ width, height: 900 });
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          if (over > 0) found.violations.push(`${state} ${width}: ${over} pixels too wide`);
          // By the protocol: the page's own policy, which forbids foreign scripts, stays as it is.
          await session.send('Runtime.evaluate', { expression: `${AXE};0` });
          const { result } = await session.send('Runtime.evaluate', {
            expression: `axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
              .then((r) => JSON.stringify({passes: r.passes.length, violations: r.violations.map((v) => [v.id, v.nodes.map((n) => n.html)])}))`,
            awaitPromise: true,
            returnByValue: true,
          });
          const { passes, violations } = JSON.parse(result.value);
          found.passes += passes;
          for (const violation of violations) found.violations.push([state, colorScheme, width, ...violation]);
          if (task.pictures) {
            await page.screenshot({ path: `${task.pictures}/${state}-${colorScheme}-${width}.png`, fullPage: true });
          }
        }
      }
      await session.detach();
    };
    const page = await open();
    await page.goto(`${task.url}/console/`);
    await judge(page, 'sign-in');
    await page.fill('#key', 'not-the-key-of-this-exchange-but-as-long');
    await page.click('main button');
    await page.locator('#key-error').waitFor();
    await judge(page, 'refused');
    await signIn(page);
    await judge(page, 'form');
    await page.selectOption('#link', { index: 1 });
    await page.setInputFiles('#file', file('english'));
    await page.click('text=Check');
    await has(title(page), 'Nothing was imported');
    await judge(page, 'errors');
    await page.setInputFiles('#file', file('odd'));
    await page.fill('#zone', 'Europe/Berlin');
    await page.click('text=Check');
    await has(title(page), 'can be imported');
    await judge(page, 'report');
    await page.click('#import button:not([formaction])');
    await counts(page);
    await judge(page, 'imported');
    await page.goto(`${task.url}${await page.getAttribute('#progress', 'data-address')}`);
    await judge(page, 'progress');
    await page.goto(`${task.url}/console/nothing-here/`);
    await judge(page, 'notice');
    return found;
  },
};

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
