// What the scenarios share: a browser, pages that note what must not happen, and a judge of pages.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.cwd()}/`);
const { chromium } = (await import(pathToFileURL(require.resolve('playwright-core')).href)).default;
const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const task = JSON.parse(process.argv[2]);
const host = new URL(task.url).host;
export const file = (name) => `${task.files}/${name}.csv`;

export const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-dev-shm-usage'],
});

// A page that notes whatever must not happen.
export const wrong = [];
export const open = async (options = {}) => {
  const context = await browser.newContext({ timezoneId: 'Europe/Vienna', locale: 'en-GB', ...options });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  page.on('request', (request) => {
    if (new URL(request.url()).host !== host) wrong.push(`a request to ${request.url()}`);
    if (request.url().includes(task.key)) wrong.push('the key in an address');
  });
  page.on('console', (message) => {
    // A form that is answered with 403, 409 or 422 is an error to the browser, and as it should be.
    const expected = /Failed to load resource: the server responded with a status of (403|404|409|422)/;
    if (message.type() === 'error' && !expected.test(message.text())) wrong.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => wrong.push(`script: ${error.message}`));
  return page;
};

// Presses Tab until the focus is on what the selector says.
export const tabTo = async (page, selector, key = 'Tab') => {
  for (let n = 0; n < 60; n += 1) {
    if (await page.evaluate((s) => Boolean(document.activeElement?.matches(s)), selector)) return;
    await page.keyboard.press(key);
  }
  assert.fail(`the keyboard does not come to ${selector}`);
};

export const has = async (locator, text) => {
  await locator.filter({ hasText: text }).waitFor();
};

// Goes to the first page, and signs in there.
export const signIn = async (page, key = task.key) => {
  await page.goto(`${task.url}/console/`);
  await page.fill('#key', key);
  await page.click('main button');
  await page.locator('.leave').waitFor();
};

// Judges states of pages: in light and dark, on a phone and a desktop.
export const judging = () => {
  const found = { states: 0, passes: 0, violations: [] };
  const judge = async (page, state) => {
    found.states += 1;
    const session = await page.context().newCDPSession(page);
    for (const colorScheme of ['light', 'dark']) {
      for (const width of [320, 1280]) {
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
  return { found, judge };
};
