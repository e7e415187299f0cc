// Drives Chromium through the patient's pages and the sandbox's consent page. Run by tests/browser/patient.rs:
//
//     node patient.mjs '{"scenario": "languages", "url": "http://127.0.0.1:...", "addresses": [...], "people": [...]}'
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
const own = new URL(task.url).host;
const provider = new URL(task.provider).host;

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-dev-shm-usage'],
});

// A page that notes whatever must not happen.
const wrong = [];
const open = async (options = {}) => {
  const context = await browser.newContext({ locale: 'en-GB', ...options });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  page.on('request', (request) => {
    const { host } = new URL(request.url());
    const there = host === provider && request.isNavigationRequest();
    // The sandbox's own page has no icon, and a browser asks for one.
    const icon = host === provider && request.url().endsWith('/favicon.ico');
    if (host !== own && !there && !icon) wrong.push(`a request to ${request.url()}`);
    const referer = request.headers().referer;
    if (referer && referer.includes('/oauth/')) wrong.push(`a referrer: ${referer}`);
  });
  page.on('console', (message) => {
    const expected = /Failed to load resource: the server responded with a status of (400|404|409)/;
    if (message.type() === 'error' && !expected.test(message.text())) wrong.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => wrong.push(`script: ${error.message}`));
  return page;
};

const language = (page) => page.getAttribute('html', 'lang');
const has = (locator, text) => locator.filter({ hasText: text }).first().waitFor();
const settled = (page) => page.locator('#region:not([data-open])').waitFor();
// The same without the page's script: asks again and again.
const stands = async (page, address) => {
  for (let n = 0; n < 240; n += 1) {
    await page.goto(address);
    if (await page.locator('#region:not([data-open])').count()) return;
    await page.waitForTimeout(250);
  }
  assert.fail('it does not come to an end');
};
const tabTo = async (page, selector) => {
  for (let n = 0; n < 60; n += 1) {
    if (await page.evaluate((s) => Boolean(document.activeElement?.matches(s)), selector)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`the keyboard does not come to ${selector}`);
};

// Says yes here, and as somebody at the provider; ends on the page that comes then.
const consent = async (page, person) => {
  await page.click('button[value=continue]');
  await page.waitForURL(`http://${provider}/**`);
  await page.click(`text=${person}`);
  await page.waitForURL(`http://${own}/oauth/**`);
};

const counts = async (page) => {
  const numbers = await page.locator('.counts dd').allTextContents();
  return numbers.map((text) => text.match(/\d+/g).map(Number));
};

const LANGUAGES = [
  ['en', 'Continue to Withings', 'Connected', 'All readings that were there have arrived', 'Yes, disconnect', 'Disconnected', 'Everything is done'],
  ['de', 'Weiter zu Withings', 'Verbunden', 'Alle vorhandenen Messwerte sind angekommen', 'Ja, Verbindung trennen', 'Verbindung getrennt', 'Alles ist erledigt'],
  ['fr', 'Continuer vers Withings', 'Connexion établie', 'Toutes les mesures disponibles sont arrivées', 'Oui, couper la connexion', 'Connexion coupée', 'Tout est fait'],
  ['es', 'Continuar a Withings', 'Conexión establecida', 'Han llegado todas las mediciones', 'Sí, desconectar', 'Conexión terminada', 'Todo está hecho'],
];

const scenarios = {
  async languages() {
    const delivered = [];
    for (const [n, [code, go, connected, arrived, yes, ended, done]] of LANGUAGES.entries()) {
      // German by what the browser asks for; the others chosen on the page.
      const page = await open({ locale: code === 'de' ? 'de-AT' : 'it-IT' });
      await page.goto(task.addresses[n]);
      assert.equal(await language(page), code === 'de' ? 'de' : 'en');
      await page.click(`.languages a[lang=${code}]`);
      await page.waitForURL(`**lang=${code}`);
      assert.equal(await language(page), code);
      assert.equal(await page.getAttribute(`.languages a[lang=${code}]`, 'aria-current'), 'true');
      assert.equal((await page.textContent('button[value=continue]')).trim(), go);
      await consent(page, task.people[n]);
      assert.equal(await language(page), code, 'the same language on the way back');
      await has(page.locator('h1'), connected);
      assert.match(new URL(page.url()).pathname, /^\/oauth\/link\/[\w-]{43}\/$/);
      await settled(page);
      await has(page.locator('#region'), arrived);
      const [[parts, all], readings] = await counts(page);
      assert.ok(parts === all && all > 3, `${parts} of ${all}`);
      delivered.push(Number(readings.join('')));

      // The bookmark, in another browser that has no cookies of this one.
      const bookmark = await open({ locale: 'en-GB' });
      await bookmark.goto(page.url());
      assert.equal(await language(bookmark), code);
      await has(bookmark.locator('h1'), connected);
      assert.deepEqual(await bookmark.context().cookies(), []);
      await bookmark.context().close();

      await page.click('#disconnect');
      await page.click(`button:has-text("${yes}")`);
      await has(page.locator('h1'), ended);
      assert.equal(await language(page), code);
      await settled(page);
      await has(page.locator('#region'), done);
      assert.equal(await page.locator('.steps li').count(), 4);
      assert.equal(await page.locator('#disconnect').count(), 0);
      // The clinic's address leads to the receipt by now.
      await page.goto(task.addresses[n]);
      await page.waitForURL('**/oauth/link/**');
      const cookies = (await page.context().cookies()).map((cookie) => cookie.name).sort();
      assert.deepEqual(cookies, ['ohx_lang', 'ohx_state', 'ohx_verifier']);
      await page.context().close();
    }
    return { delivered };
  },

  async refused() {
    const page = await open({ locale: 'fr-CH' });
    await page.goto(task.addresses[0]);
    await page.click('button[value=decline]');
    await has(page.locator('h1'), 'Rien n’est partagé');
    await page.click('.languages a[lang=es]');
    await has(page.locator('h1'), 'No se comparte nada');
    await page.click('main a.button');
    await page.waitForURL('**/oauth/connect/**');
    assert.equal(await language(page), 'es');
    // At the provider after all.
    await page.click('button[value=continue]');
    await page.click('text=Decline');
    await page.waitForURL(`http://${own}/oauth/callback/**`);
    await has(page.locator('main'), 'No ha compartido nada');
    assert.equal(await language(page), 'es');
    assert.equal(await page.locator('.languages').count(), 0, 'this address cannot be asked for again');
    await page.reload();
    await has(page.locator('main'), 'ha caducado');
    await page.goto(`${task.addresses[0]}x`);
    await has(page.locator('h1'), 'Esta dirección ya no funciona');
    await page.click('.languages a[lang=de]');
    await has(page.locator('h1'), 'Diese Adresse gilt nicht mehr');
    // An account that is somebody else's.
    await page.goto(`${task.addresses[1]}?lang=de`);
    await consent(page, task.people[0]);
    await settled(page);
    await page.goto(`${task.addresses[2]}?lang=de`);
    await consent(page, task.people[0]);
    await has(page.locator('main'), 'schon für eine andere Person verbunden');
    return {};
  },

  async keyboard() {
    const page = await open();
    await page.goto(task.addresses[0]);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
    await tabTo(page, '.languages a[lang=de]');
    await page.keyboard.press('Enter');
    await page.waitForURL('**lang=de');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.activeElement?.id === 'main');
    await tabTo(page, 'button[value=continue]');
    await page.keyboard.press('Enter');
    await page.waitForURL(`http://${provider}/**`);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForURL(`http://${own}/oauth/link/**`);
    await settled(page);
    await tabTo(page, '#disconnect');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/disconnect/**');
    await tabTo(page, 'a.second');
    await page.keyboard.press('Enter');
    await has(page.locator('h1'), 'Verbunden');
    await tabTo(page, '#disconnect');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/disconnect/**');
    await tabTo(page, 'button.stop');
    await page.keyboard.press('Enter');
    await has(page.locator('h1'), 'Verbindung getrennt');
    await settled(page);
    return {};
  },

  async 'without-script'() {
    const page = await open({ javaScriptEnabled: false, viewport: { width: 320, height: 640 } });
    await page.goto(task.addresses[0]);
    await consent(page, task.people[0]);
    await page.locator('#region[data-open]').waitFor();
    await page.locator('.plain a').waitFor();
    // By itself, every ten seconds.
    await settled(page);
    await has(page.locator('#region'), 'have arrived');
    await page.click('#disconnect');
    await page.click('button.stop');
    await has(page.locator('h1'), 'Disconnected');
    await settled(page);
    await has(page.locator('#region'), 'Everything is done');
    return {};
  },

  async axe() {
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
            await page.screenshot({ path: `${task.pictures}/patient-${state}-${colorScheme}-${width}.png`, fullPage: true });
          }
        }
      }
      await session.detach();
    };
    const page = await open();
    for (const code of ['en', 'de', 'fr', 'es']) {
      await page.goto(`${task.addresses[0]}?lang=${code}`);
      await judge(page, `connect-${code}`);
    }
    await page.click('button[value=decline]');
    await judge(page, 'declined');
    await page.goto(`${task.addresses[0]}x`);
    await judge(page, 'expired');
    await page.goto(task.addresses[0]);
    await page.click('button[value=continue]');
    await page.click('text=Decline');
    await page.waitForURL(`http://${own}/oauth/callback/**`);
    await judge(page, 'declined-there');
    // Without its script the page stands still while it is looked at.
    const still = await open({ locale: 'de-DE' });
    await still.route('**/patient.*.js', (route) => route.fulfill({ contentType: 'text/javascript', body: '' }));
    await still.goto(task.addresses[0]);
    await consent(still, task.people[0]);
    await still.locator('#region[data-open]').waitFor();
    await judge(still, 'arriving');
    const address = still.url();
    await stands(still, address);
    await judge(still, 'arrived');
    await still.click('#disconnect');
    await judge(still, 'sure');
    await still.click('button.stop');
    await has(still.locator('h1'), 'Verbindung getrennt');
    await stands(still, address);
    await judge(still, 'ended');
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
