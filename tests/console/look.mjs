// Whether everything can be read, dark and light, and reached without a mouse.

import { check, within } from './browser.mjs';

// WCAG AA for text; large or bold text may have less.
const LEAST = 4.5;
const LEAST_LARGE = 3;

// The text of the page with the worst contrast to what it stands on.
const faintest = (page) =>
  page.evaluate(
    ([least, leastLarge]) => {
      const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
      const rgba = (css) => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = css;
        context.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
        return [red, green, blue, alpha / 255];
      };
      const over = (top, under) => top.slice(0, 3).map((value, at) => value * top[3] + under[at] * (1 - top[3]));
      const ground = (node) => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
        return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
      };
      const light = (colour) => {
        const [red, green, blue] = colour.map((value) => {
          const part = value / 255;
          return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
      };
      let worst = null;
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const text = walker.currentNode.data.trim();
        const node = walker.currentNode.parentElement;
        if (!text || !node.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
        if (node.closest('[aria-hidden="true"], :disabled, noscript, .hidden, .skip, svg')) continue;
        const style = getComputedStyle(node);
        const under = ground(node);
        const [one, other] = [light(over(rgba(style.color), under)), light(under)].sort((a, b) => b - a);
        const contrast = (one + 0.05) / (other + 0.05);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        const missing = (large ? leastLarge : least) - contrast;
        if (!worst || missing > worst.missing) worst = { missing, contrast, text: text.slice(0, 40) };
      }
      return worst;
    },
    [LEAST, LEAST_LARGE],
  );

export async function isReadable(page, base, id) {
  const grounds = new Set();
  for (const scheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const path of ['', 'alerts', `alerts/${id}`, 'hosts', 'flows', 'incidents', 'captures', 'model', 'settings']) {
      await page.goto(`${base}/#/${path}`);
      await page.waitForTimeout(500);
      const worst = await faintest(page);
      if (worst.missing > 0) throw new Error(`${scheme} ${path}: "${worst.text}" has ${worst.contrast.toFixed(2)} : 1`);
    }
    grounds.add(await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor));
  }
  check(grounds.size === 2, 'text has 4.5 : 1 on every page, dark and light');
}

export async function theThemeIsKept(page, base) {
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto(`${base}/#/`);
  const system = await ground();
  const button = page.locator('[aria-label^="Colours"]');
  await button.focus();
  await page.keyboard.press('Enter');
  await page.waitForSelector('[aria-label="Colours: dark, change"]');
  const dark = await ground();
  await page.reload();
  await page.waitForSelector('[aria-label="Colours: dark, change"]');
  check(dark !== system && (await ground()) === dark, 'dark is chosen by key and kept over a reload');
  for (const _ of ['light', 'system']) {
    await button.focus();
    await page.keyboard.press('Enter');
  }
  await page.waitForSelector('[aria-label="Colours: system, change"]');
}

export async function keysGoEverywhere(page, base) {
  await page.goto(`${base}/#/`);
  await page.waitForSelector('.answers');
  await page.locator('main').focus();
  for (const [key, place] of [
    ['a', 'alerts'],
    ['h', 'hosts'],
    ['f', 'flows'],
    ['i', 'incidents'],
    ['c', 'captures'],
    ['m', 'model'],
    ['s', 'settings'],
    ['o', ''],
  ]) {
    await page.keyboard.press('g');
    await page.keyboard.press(key);
    await within(2000, `g ${key}`, () => page.evaluate((hash) => location.hash === hash, `#/${place}`));
  }
  await page.keyboard.press('?');
  await page.waitForSelector('dialog[open].help');
  await page.keyboard.press('Escape');
  await within(2000, 'Escape closes the help', async () => (await page.locator('dialog[open]').count()) === 0);
  await page.keyboard.press('g');
  await page.keyboard.press('i');
  await page.waitForSelector('.incident-row');
  await page.keyboard.press('/');
  await page.keyboard.type('scan');
  check(
    await page.evaluate(() => document.activeElement.matches('[type=search]') && document.activeElement.value === 'scan'),
    'every page, the help and the search are reached by keys',
  );
  await page.keyboard.press('Escape');
  // Whatever the tab key visits has a name, and shows that it is visited.
  await page.goto(`${base}/#/settings`);
  await page.reload();
  await page.waitForSelector('.sink');
  let visited = 0;
  for (let at = 0; at < 60; at += 1) {
    await page.keyboard.press('Tab');
    const seen = await page.evaluate(() => {
      const node = document.activeElement;
      if (node === document.body) return null;
      const name = node.getAttribute('aria-label') || node.textContent.trim() || node.labels?.[0]?.textContent || node.title;
      const style = getComputedStyle(node);
      return { name, shown: style.outlineStyle !== 'none' || style.boxShadow !== 'none', html: node.outerHTML.slice(0, 80) };
    });
    if (!seen) break;
    if (!seen.name || !seen.shown) throw new Error(`no name, or not shown when visited: ${seen.html}`);
    visited += 1;
  }
  check(visited > 25, `${visited} places are visited by the tab key, each with a name and an outline`);
}
