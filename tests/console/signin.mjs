// A sensor that asks for tokens: signing in with a wrong one, one that reads and one of an admin, and signing out.
// tests/console.rs starts it.

import { browser, check, story, within } from './browser.mjs';

const BASE = process.env.VESPER_BASE;
const [READER, ADMIN] = process.env.VESPER_TOKENS.split(' ');
const chromium = await browser();
const page = await chromium.context.newPage();

async function signIn(token) {
  await page.waitForSelector('form.sign-in');
  await page.fill('#token', token);
  await page.keyboard.press('Enter');
}

await story(chromium, page, async () => {
  chromium.expect('401', '403', 'WebSocket');
  await page.goto(`${BASE}/#/settings`);
  await page.waitForSelector('form.sign-in');
  check(await page.evaluate(() => document.activeElement.id === 'token'), 'who is not signed in is asked for a token');
  await signIn('vesper_wrong');
  await page.waitForSelector('.problem-line');
  check((await page.textContent('main')).includes('What helps'), 'a wrong token is refused, with what helps');

  await signIn(READER);
  await page.waitForSelector('.sink');
  const facts = await page.textContent('main');
  check(facts.includes('reader') && facts.includes('read'), 'the page says who one is');
  check((await page.locator('button:has-text("Read the file again")').count()) === 0, 'a reader is offered no changes');
  check((await page.evaluate(() => document.cookie)) === '', 'scripts cannot read the cookie');
  const denied = await page.evaluate(() => fetch('api/v1/config/reload', { method: 'POST' }).then((answer) => answer.status));
  check(denied === 403, 'and the sensor refuses them');
  await within(10_000, 'the line is live', () => page.locator('.connection.live').count());

  // A second tab of the same browser is signed in as well, and signed out with the first.
  const other = await chromium.context.newPage();
  await other.goto(`${BASE}/#/settings`);
  await other.waitForSelector('.sink');
  await page.click('button:has-text("Sign out")');
  await page.waitForSelector('form.sign-in');
  await other.reload();
  await other.waitForSelector('form.sign-in');
  check(true, 'signed in and out in both tabs');
  await other.close();

  await signIn(ADMIN);
  await page.waitForSelector('button:has-text("Read the file again")');
  await page.click('button:has-text("Read the file again")');
  await page.waitForSelector('.notice:has-text("read again")');
  await page.reload();
  await page.waitForSelector('.sink');
  check((await page.textContent('main')).includes('config.reload'), 'an admin reads the settings again, and it is written down');
  for (const secret of ['hunter2', READER, ADMIN]) {
    const page_text = await page.evaluate(() => document.documentElement.outerHTML);
    const config = await page.evaluate(() => fetch('api/v1/config').then((answer) => answer.text()));
    if (page_text.includes(secret) || config.includes(secret)) throw new Error('a secret is shown');
  }
  check(true, 'no page and no answer holds a secret of the settings');
  check(chromium.wrong.length === 0, `nothing else went wrong ${chromium.wrong.slice(0, 5).join('\n     ')}`);
});
