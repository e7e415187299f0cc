// A file is imported.
import assert from 'node:assert/strict';
import { file, has, judging, open, signIn as enter, tabTo, task } from '../lib.mjs';

const title = (page) => page.locator('#result-title');
const focused = (page) => page.waitForFunction(() => document.activeElement?.id === 'result-title');
const counts = async (page) => {
  await page.locator('#progress[data-done]').waitFor();
  const names = await page.locator('.counts dt').allTextContents();
  const numbers = await page.locator('.counts dd').allTextContents();
  return Object.fromEntries(names.map((name, n) => [name.toLowerCase(), Number(numbers[n])]));
};

const signIn = async (page) => {
  await enter(page);
  await page.click('.pages a[href$="/import/"]');
  await has(page.locator('h1'), 'Import a file');
};

export default {
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
    await has(page.locator('h1'), 'Overview');
    await tabTo(page, '.pages a[href$="/import/"]');
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
    // Asked for before the steps to the field: Chromium hands over only the choosers that open after it was told to.
    const chooser = page.waitForEvent('filechooser');
    await tabTo(page, '#file');
    await page.keyboard.press('Space');
    await (await chooser).setFiles(file('german'));
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
    const { found, judge } = judging();
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
