// The flow of readings is watched: overview, links and their calendar, dead letters, the end of a link, the audit log.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { has, judging, open, signIn, tabTo, task } from '../lib.mjs';

const at = (path) => `${task.url}/console${path}`;
const published = async (page) => Number(await page.textContent('#published'));
// Waits for a number that the page's script brings.
const becomes = (page, n) =>
  page.waitForFunction((wanted) => Number(document.getElementById('published')?.textContent) === wanted, n, { timeout: 60_000 });
const current = (page) => page.locator('.pages a[aria-current]').textContent();
const calendar = async (page, link) => {
  await page.goto(at(`/links/${link}/`));
  await page.waitForURL(/zone=Europe%2FVienna/);
  await page.locator('.calendar').waitFor();
};

export default {
  // From nothing to the address for the patient, with the keyboard alone.
  async 'new-link'() {
    const page = await open({ permissions: ['clipboard-read', 'clipboard-write'] });
    await signIn(page);
    assert.equal(await current(page), 'Overview');
    await has(page.locator('h2'), 'No patient is connected yet');
    await tabTo(page, 'main a.button');
    await page.keyboard.press('Enter');
    await has(page.locator('h1'), 'New link');
    await tabTo(page, '#provider');
    await page.keyboard.type('withings');
    await tabTo(page, '#patient');
    await page.keyboard.type('not a patient');
    await page.keyboard.press('Enter');
    await page.locator('#new-error').waitFor();
    assert.equal(await page.inputValue('#patient'), 'not a patient');
    await tabTo(page, '#patient');
    await page.keyboard.press('Control+A');
    await page.keyboard.type(task.patient);
    await tabTo(page, '#backfill_days');
    await page.keyboard.press('Control+A');
    await page.keyboard.type(String(task.days));
    await page.keyboard.press('Enter');
    await has(page.locator('h1'), 'Send the patient this address');
    const address = await page.inputValue('#address');
    await tabTo(page, '[data-copy]');
    await page.keyboard.press('Enter');
    await has(page.locator('[data-copy]'), 'Copied');
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), address);
    await page.click('text=To the link');
    assert.equal(await page.textContent('#state'), 'Waits for consent');
    return { address };
  },

  // What was published is counted, and what comes later without anybody doing anything.
  async overview() {
    const page = await open();
    await signIn(page);
    await page.click('text=30 days');
    await has(page.locator('.sum'), 'in the last 30 days');
    const before = await published(page);
    await page.click('#numbers summary');
    const cells = await page.locator('#numbers tbody td:last-child').allTextContents();
    assert.equal(cells.map(Number).reduce((sum, n) => sum + n, 0), before, 'the table says the same');
    assert.ok((await page.locator('.chart rect.s0').count()) > 0, 'bars');
    fs.writeFileSync(`${task.files}/seen`, '');
    await becomes(page, before + task.more);
    assert.ok(await page.locator('#numbers').evaluate((details) => details.open), 'what was open stays open');
    await page.click('#pause');
    assert.equal(await page.getAttribute('#pause', 'aria-pressed'), 'true');
    await has(page.locator('#said'), 'stays as it is');
    return { before, after: await published(page) };
  },

  // Somebody who only looks is told what the key is not for.
  async reader() {
    const page = await open();
    await signIn(page, task.reader);
    assert.equal(await page.locator('#dead-letters').count(), 0);
    await page.locator('#published').waitFor();
    for (const path of ['/dead-letters/', '/audit/']) {
      const answer = await page.goto(at(path));
      assert.equal(answer.status(), 403);
      await has(page.locator('#notice-text'), "the caller's role is clinician-read");
    }
    await calendar(page, task.link);
    await page.click('#sync');
    await has(page.locator('#notice-title'), 'Your key may not do this');
    return {};
  },

  // A reading that the EHR refused: found from the overview, explained in the calendar, with the keyboard alone.
  async refused() {
    const page = await open();
    await signIn(page);
    await has(page.locator('#dead-letters'), '1');
    await tabTo(page, '.pages a[href$="/links/"]');
    await page.keyboard.press('Enter');
    await has(page.locator('h1'), 'Links');
    await tabTo(page, 'tbody a');
    await page.keyboard.press('Enter');
    await page.waitForURL(/zone=Europe%2FVienna/);
    const day = page.locator('.calendar a.warn').first();
    assert.match(await day.textContent(), /^[A-Z][a-z]+day \d+ [A-Z][a-z]+: ◐partly$/);
    await tabTo(page, '.calendar a.warn');
    await page.keyboard.press('Enter');
    await has(page.locator('#day'), 'refused by the EHR');
    const why = await page.textContent('#day');
    assert.match(why, /the EHR refused 1 reading/);
    assert.match(await page.locator('.strips').textContent(), /1 partly/);
    await page.goto(at('/dead-letters/'));
    await has(page.locator('#reasons-title'), '1 by reason');
    return { why: (await page.locator('#letters-title ~ .scroll tbody tr').allTextContents()).length };
  },

  // It is replayed, and the page follows until it is gone.
  async replay() {
    const page = await open();
    await signIn(page);
    await page.goto(at('/dead-letters/'));
    await tabTo(page, '#letters-title ~ .scroll tbody a');
    await page.keyboard.press('Enter');
    await has(page.locator('h1'), 'Dead letter');
    await tabTo(page, '#replay');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/dead-letters/?did=gone');
    await has(page.locator('.note'), 'That letter is gone');
    await has(page.locator('#none-title'), 'There are none');
    await calendar(page, task.link);
    assert.equal(await page.locator('.calendar a.warn, .calendar a.bad').count(), 0);
    return {};
  },

  async disconnect() {
    const page = await open();
    await signIn(page);
    await page.goto(at(`/links/${task.link}/disconnect/`));
    await tabTo(page, 'input[name=mark]');
    await page.keyboard.press('Space');
    await tabTo(page, 'button.danger');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/receipt/');
    await has(page.locator('#receipt-title'), 'Everything is done');
    const steps = await page.locator('#receipt tbody tr').allTextContents();
    const jws = await page.inputValue('#jws');
    await page.goto(at(`/links/${task.link}/`));
    assert.equal(await page.textContent('#state'), 'Ended');
    await page.goto(at('/audit/'));
    await has(page.locator('tbody tr').first(), 'link.disconnect');
    await has(page.locator('.lead'), 'ohx audit verify');
    return { steps, jws };
  },

  // The same pages with no script at all.
  async 'flow-without-script'() {
    const page = await open({ javaScriptEnabled: false });
    await signIn(page);
    const shown = await published(page);
    assert.equal(await page.locator('#pause').isVisible(), false);
    await page.click('.pages a[href$="/links/"]');
    await page.selectOption('#state', 'active');
    await page.click('.filter button');
    await page.click('tbody a');
    await page.locator('.calendar').waitFor();
    assert.equal(await page.inputValue('#zone'), 'UTC');
    await page.click('text=Ask the provider for them');
    await has(page.locator('#devices'), 'Smart Body Analyzer');
    await page.click('#sync button, button#sync');
    for (let n = 0; n < 300 && (await page.locator('#sync[data-done]').count()) === 0; n += 1) {
      await page.click('text=Look again');
    }
    await has(page.locator('#sync-title'), 'All at the EHR');
    await page.click('text=Sign out');
    await has(page.locator('.note'), 'You are signed out.');
    return { shown };
  },

  async 'flow-axe'() {
    const { found, judge } = judging();
    const page = await open();
    await signIn(page);
    await page.click('#numbers summary');
    await judge(page, 'overview');
    const { link } = task;
    const pages = [
      ['links', '/links/'], ['links-none', '/links/?state=pending'], ['links-wrong', '/links/?patient=x+y'],
      ['new', '/links/new/'], ['link', `/links/${link}/?zone=UTC`], ['disconnect', `/links/${link}/disconnect/`],
      ['letters', '/dead-letters/'], ['audit', '/audit/'], ['audit-none', '/audit/?actor=nobody'],
    ];
    for (const [state, path] of pages) {
      await page.goto(at(path));
      await judge(page, state);
    }
    await page.goto(at(`/links/${link}/?zone=UTC`));
    await page.locator('.calendar a.warn').first().click();
    await judge(page, 'day');
    await page.click('text=Ask the provider for them');
    await judge(page, 'devices');
    await page.click('.card tbody a[href*="/syncs/"]');
    await judge(page, 'sync');
    await page.goto(at('/dead-letters/'));
    await page.locator('#letters-title ~ .scroll tbody a').first().click();
    await judge(page, 'letter');
    await page.goto(at('/dead-letters/'));
    await page.click('#replay-all');
    await page.locator('#replayed').waitFor();
    await judge(page, 'replayed');
    await page.goto(at(`/links/${link}/disconnect/`));
    await page.click('button.danger');
    await page.locator('#receipt[data-done]').waitFor();
    await judge(page, 'receipt');
    return found;
  },

  // Pictures for the documentation: each of screenshots.json, in light.
  async screenshots() {
    const page = await open({ viewport: { width: 1280, height: 800 }, deviceScaleFactor: 1, colorScheme: 'light' });
    await signIn(page);
    const list = JSON.parse(fs.readFileSync(new URL('../screenshots.json', import.meta.url)));
    for (const { name, path, scroll, colorScheme = 'light', width = 1280, height = 800 } of list) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height });
      const named = path.replace('{link}', task.link).replace('{day}', task.day).replace('{connect}', task.connect);
      await page.goto(named.startsWith('http') ? named : at(named));
      if (scroll) await page.locator(scroll).scrollIntoViewIfNeeded();
      await page.evaluate(() => document.fonts.ready);
      await page.screenshot({ path: `${task.pictures}/${name}.png` });
    }
    return { pictures: list.length };
  },
};
