// The console in a real browser on the real sensor. tests/console.rs starts both, and does what is asked for on stdout:
// a line `do: scan`, `do: restart` or `do: candidate`, answered by a line on stdin when it is done.

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { browser, check, story, within } from './browser.mjs';
import { everywhere, pages, throughTheApi } from './attack.mjs';
import { isReadable, keysGoEverywhere, theThemeIsKept } from './look.mjs';

const BASE = process.env.VESPER_BASE;
const api = async (path, options) => {
  const response = await fetch(`${BASE}/api/v1/${path}`, options);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.status === 204 ? null : response.json();
};
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function ask(what) {
  console.log(`do: ${what}`);
  const { value } = await answers.next();
  if (value !== 'done') throw new Error(`${what}: ${value}`);
}

const chromium = await browser();
const page = await chromium.context.newPage();
// A colleague's, who does nothing but look.
const other = await chromium.context.newPage();

async function alertsComeByThemselves() {
  await page.goto(`${BASE}/#/alerts`);
  await within(10_000, 'the line is live', () => page.locator('.connection.live').count());
  await page.evaluate(() => {
    window.sameDocument = true;
  });
  // One row an alert, whatever else comes of the same source.
  await page.uncheck('.filters [type=checkbox]');
  const stored = within(60_000, 'an alert is stored', async () => (await api('alerts?limit=1')).items[0] && Date.now());
  const shown = page.waitForSelector('[data-row^="THREAT_"]', { timeout: 60_000 }).then(() => Date.now());
  await ask('scan');
  const late = (await shown) - (await stored);
  check(late <= 1000, `an alert is shown ${late} ms after it was stored`);
  check(await page.evaluate(() => window.sameDocument), 'without a reload');
}

async function aPersonResolvesIt() {
  // It may still grow: its row stays where it is.
  await page.locator('[data-row^="THREAT_"]').first().focus();
  const id = await page.evaluate(() => document.activeElement.dataset.row);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.alert-detail h2');
  check((await page.textContent('.why tbody')).length > 20, 'it says why, feature by feature');
  check(/about once in (\d+|an?) \w+|practically never/.test(await page.textContent('#panel-why + *')), 'and how rare that is');
  await other.goto(`${BASE}/#/alerts/${id}`);
  await other.waitForSelector('.alert-head .state:has-text("open")');
  await within(10_000, 'the other line is live', () => other.locator('.connection.live').count());
  const sees = (state) => other.waitForSelector(`.alert-head .state:has-text("${state}")`, { timeout: 2000 });
  await page.keyboard.press('a');
  await within(5000, 'acknowledged', async () => (await api(`alerts/${id}`)).state === 'acknowledged');
  await within(5000, 'and shown so', async () => (await page.textContent('.alert-head .state')) === 'acknowledged');
  await sees('acknowledged');
  await page.keyboard.press('r');
  await page.fill('dialog [name=action]', 'blocked the scanner at the switch');
  await page.fill('dialog [name=root_cause]', 'a forgotten inventory tool');
  await page.click('dialog [type=submit]');
  await within(5000, 'resolved', async () => (await page.textContent('.alert-head .state')) === 'resolved');
  await sees('resolved');
  check(true, 'a second tab sees both as they happen');
  check((await api(`alerts/${id}`)).resolved_by === 'local', 'acknowledge and resolve reach the store, by keys alone');
  return id;
}

async function itSurvivesARestart(id) {
  chromium.expect(
    'ERR_CONNECTION_REFUSED',
    'WebSocket connection',
    'ERR_EMPTY_RESPONSE',
    'ERR_CONNECTION_RESET',
    '503',
  );
  const gone = page.waitForSelector('.connection.reconnecting', { timeout: 30_000 });
  await ask('restart');
  await gone;
  await within(30_000, 'the console connects again', () => page.locator('.connection.live').count());
  await within(30_000, 'and the other tab', () => other.locator('.connection.live').count());
  chromium.expect();
  check(await page.evaluate(() => window.sameDocument), 'the console saw the sensor go and come back');
  await page.goto(`${BASE}/#/alerts/${id}`);
  await page.reload();
  await page.waitForSelector('.story');
  const story = await page.textContent('.story');
  check(
    story.includes('Acknowledged by local') && story.includes('blocked the scanner at the switch'),
    'what was done survives the restart',
  );
}

async function aSessionIsWatchedInTwoTabs() {
  await page.goto(`${BASE}/#/captures`);
  await page.click('button:has-text("Start a live session")');
  await page.fill('dialog [name=filter]', 'port nonsense');
  chromium.expect('422');
  await page.click('dialog [type=submit]');
  await page.waitForSelector('dialog .problem-line');
  chromium.expect();
  await page.fill('dialog [name=filter]', 'tcp and port 80');
  await page.click('dialog [type=submit]');
  await page.waitForSelector('main button:has-text("Stop")');
  await other.goto(`${BASE}/#/captures`);
  await other.waitForSelector('main button:has-text("Stop")');
  await page.locator('main button:has-text("Stop")').first().click();
  for (const tab of [page, other])
    await within(8000, 'both tabs see the end', async () => (await tab.locator('main button:has-text("Stop")').count()) === 0);
  check(true, 'a wrong filter is said in the form; a session that one tab starts and stops is seen in the other');
}

async function modelsAreExchanged() {
  const before = (await api('model')).promoted;
  const taken = (number) =>
    within(20_000, `model ${number} is taken up`, async () => (await api('model')).promoted === before + number);
  await ask('candidate');
  await page.goto(`${BASE}/#/model`);
  await page.click('button:has-text("Promote the candidate")');
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Escape');
  await within(2000, 'Escape changes its mind', async () => (await page.locator('dialog[open]').count()) === 0);
  await page.click('button:has-text("Promote the candidate")');
  await page.click('dialog [type=submit]');
  await taken(1);
  await page.locator('button:has-text("Roll back to it")').last().click();
  await page.click('dialog [type=submit]');
  await taken(2);
  const audit = (await api('audit?limit=10')).items.map((one) => one.action);
  check(
    audit.includes('model.promote') && audit.includes('model.rollback') && (await api('status')).model.state === 'active',
    'a candidate is promoted, a snapshot comes back, and both are written down',
  );
}

async function incidentsAreFound() {
  await page.goto(`${BASE}/#/incidents`);
  await page.fill('main [type=search]', 'forgotten inventory');
  await page.locator('.incident-row:has-text("blocked the scanner")').first().click({ timeout: 10_000 });
  await page.waitForSelector('.split-detail:has-text("a forgotten inventory tool")');
  check(true, 'the incident is found by words of its cause');
}

async function evidenceIsDownloaded(id) {
  await page.goto(`${BASE}/#/alerts/${id}`);
  await page.waitForSelector('.alert-detail h2');
  const link = page.locator('a[download]');
  await within(10_000, 'packets are offered', () => link.count());
  const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
  const bytes = readFileSync(await download.path());
  check(bytes.readUInt32LE(0) === 0x0a0d0d0a, 'the packets are downloaded as pcapng');
}

async function aCaptureIsAnalysed() {
  await page.goto(`${BASE}/#/captures`);
  await page.setInputFiles('#capture-file', process.env.VESPER_CAPTURE);
  const seen = page.waitForSelector('.chosen-capture [role=progressbar], .drop [role=progressbar]', {
    timeout: 20_000,
  });
  await seen;
  await page.waitForSelector('.panel:has-text("Windows scored")', { timeout: 60_000 });
  const packets = await page.locator('.fact:has-text("Packets") dd').first().textContent();
  check(
    packets.replaceAll(',', '') === process.env.VESPER_CAPTURE_PACKETS,
    `progress and result of a capture: ${packets} packets`,
  );
}

await story(chromium, page, async () => {
  await alertsComeByThemselves();
  const id = await aPersonResolvesIt();
  await evidenceIsDownloaded(id);
  await incidentsAreFound();
  await aCaptureIsAnalysed();
  await aSessionIsWatchedInTwoTabs();
  await modelsAreExchanged();
  await itSurvivesARestart(id);
  await other.close();
  await isReadable(page, BASE, id);
  await theThemeIsKept(page, BASE);
  await keysGoEverywhere(page, BASE);
  await throughTheApi(api);
  await pages(page, BASE, id);
  await everywhere(chromium.context, BASE, id);
  check(
    chromium.wrong.length === 0,
    `no error on the console, no report of the policy, no dialog${chromium.wrong
      .slice(0, 10)
      .map((text) => `\n     ${text}`)
      .join('')}`,
  );
});
