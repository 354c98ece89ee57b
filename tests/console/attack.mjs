// Hostile text through the ways that lead into the sensor, and then, should one of them ever let everything through, put in
// place of every text that the API answers.

import { check, within } from './browser.mjs';
import { HOSTILE } from './hostile.mjs';

const NAMES_AN_UPLOAD = 4;

// Names of files and texts of incidents, through the product's own checks into its store.
export async function throughTheApi(api) {
  let taken = 0;
  for (const text of HOSTILE) {
    const body = JSON.stringify({
      title: text.slice(0, 200),
      threat_type: 'Anomaly',
      symptom: text,
      root_cause: text,
      action: text,
      outcome: text,
    });
    await api('incidents', { method: 'POST', headers: { 'content-type': 'application/json' }, body }).then(
      () => {
        taken += 1;
      },
      () => {},
    );
  }
  check(taken >= 200, `${taken} of ${HOSTILE.length} hostile texts are incidents`);
  const empty = Uint8Array.from([0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
  let sent = 0;
  for (let at = 0; at < HOSTILE.length; at += NAMES_AN_UPLOAD) {
    const form = new FormData();
    form.append(
      'file',
      new Blob([empty]),
      HOSTILE.slice(at, at + NAMES_AN_UPLOAD)
        .map((text) => text.slice(0, 48))
        .join(' '),
    );
    // Few wait at a time; a name that is no header at all is refused, which is as good.
    const answer = await within(30_000, 'room for an upload', () =>
      api('captures/analyze', { method: 'POST', body: form }).then(
        () => 'taken',
        (error) => (error.message.includes(': 400') ? 'refused' : null),
      ),
    );
    if (answer === 'refused') continue;
    sent += 1;
  }
  check(sent >= 50, `${HOSTILE.length} hostile names came with ${sent} uploads`);
}

const PAGES = [
  '',
  'alerts',
  'alerts?state=',
  'hosts',
  'flows',
  'incidents',
  'captures',
  'model',
  'settings',
  'nothing/here',
];

// Every page once, with whatever the sensor holds.
export async function pages(page, base, id) {
  for (const path of [...PAGES, `alerts/${id}`, 'hosts/10.9.0.1']) {
    await page.goto(`${base}/#/${path}`);
    await page.waitForTimeout(400);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) throw new Error(`${path} is ${wide} px too wide`);
  }
  const text = await page
    .goto(`${base}/#/incidents`)
    .then(() => page.waitForSelector('.incident-row'))
    .then(() => page.textContent('main'));
  check(text.includes('<') || text.includes('javascript:'), 'hostile text is shown as what it is: text');
  await untouched(page, 'what the sensor holds');
}

// Every string of every answer, one after the other; numbers and what names a state stay.
export async function everywhere(context, base, id) {
  const page = await context.newPage();
  let next = 0;
  const KEPT = new Set([
    'state',
    'severity',
    'status',
    'time',
    'timestamp',
    'first_seen',
    'last_seen',
    'created_at',
    'started_at',
    'updated_at',
    'kind',
    'scope',
    'type',
    'threat_type',
  ]);
  const spoil = (value, name) => {
    if (typeof value === 'string') {
      if (KEPT.has(name)) return value;
      next += 1;
      return HOSTILE[next % HOSTILE.length];
    }
    if (Array.isArray(value)) return value.map((item) => spoil(item, name));
    if (value && typeof value === 'object')
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, spoil(item, key)]));
    return value;
  };
  await page.route('**/api/v1/**', async (route) => {
    const answer = await route.fetch().catch(() => null);
    if (!answer) return route.abort();
    const kind = answer.headers()['content-type'] ?? '';
    if (!kind.includes('application/json')) return route.fulfill({ response: answer });
    return route.fulfill({ response: answer, json: spoil(await answer.json(), '') });
  });
  const turns = process.env.VESPER_LONG ? 4 : 1;
  for (let turn = 0; turn < turns; turn += 1) {
    for (const path of [...PAGES, `alerts/${id}`, 'hosts/10.9.0.1', 'incidents/INC-2026-001']) {
      await page.goto(`${base}/#/${path}`);
      await page.waitForTimeout(400);
      for (const row of await page.locator('main [data-row]').all()) {
        await row.focus().catch(() => {});
        break;
      }
    }
  }
  check(next >= HOSTILE.length, `${next} texts of answers were hostile, each of ${HOSTILE.length} among them`);
  await untouched(page, 'hostile answers');
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await page.close();
}

async function untouched(page, what) {
  const pwned = await page.evaluate(() => window.pwned);
  const strange = await page.evaluate(() =>
    [...document.querySelectorAll('script, iframe, object, embed, base, form[action], a[href]')]
      .filter(
        (node) =>
          !(
            node.matches('script[src="console/app.js"]') ||
            (node.matches('a') && /^(#|api\/v1\/|docs$|metrics$)/.test(node.getAttribute('href')))
          ),
      )
      .map((node) => node.tagName),
  );
  check(pwned === undefined && strange.length === 0, `${what} ran nothing and made no element ${strange.join(' ')}`);
}
