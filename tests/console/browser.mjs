// A Chromium that fails the test for every error on its console and every report of its content security policy.

import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Where setup put playwright-core; nothing is installed beside these files.
const require = createRequire(`${process.env.VESPER_PLAYWRIGHT}/package.json`);
const { chromium } = require('playwright-core');

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];

export async function browser() {
  const folder = mkdtempSync(join(tmpdir(), 'vesper-console-'));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: process.env.VESPER_CHROMIUM,
    headless: true,
    args: FLAGS,
    viewport: { width: 1440, height: 900 },
    acceptDownloads: true,
  });
  const wrong = [];
  let expected = [];
  await context.exposeBinding('reportViolation', (_, text) => wrong.push(`policy: ${text}`));
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) =>
      window.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`),
    );
  });
  context.on('page', (page) => {
    const note = (kind) => (text) => {
      if (!expected.some((part) => text.includes(part))) wrong.push(`${kind}: ${text}`);
    };
    page.on(
      'console',
      (message) =>
        ['error', 'warning'].includes(message.type()) && note('console')(`${message.text()} ${message.location().url}`),
    );
    page.on('pageerror', (error) => note('error')(error.stack ?? error.message));
    page.on('dialog', (dialog) => {
      note('dialog')(dialog.message());
      dialog.dismiss();
    });
    page.on(
      'response',
      (response) => response.status() >= 400 && note('answer')(`${response.status()} ${response.url()}`),
    );
  });
  return {
    context,
    wrong,
    // Text of errors that a step causes on purpose, such as by stopping the sensor.
    expect: (...parts) => {
      expected = parts;
    },
    async close() {
      await context.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

// Runs the steps of a test, and ends the program: with 1 at the first that fails, which it tells.
export async function story(chromium, page, steps) {
  try {
    await steps();
    console.log('all done');
  } catch (error) {
    console.log(`FAILED ${error.stack}\n     ${chromium.wrong.slice(0, 10).join('\n     ')}`);
    if (process.env.VESPER_SHOT) await page.screenshot({ path: process.env.VESPER_SHOT }).catch(() => {});
    process.exitCode = 1;
  } finally {
    await chromium.close();
    process.exit();
  }
}

export function check(holds, text) {
  if (!holds) throw new Error(text);
  console.log(`ok   ${text}`);
}

export async function within(milliseconds, what, condition) {
  const end = Date.now() + milliseconds;
  let last = null;
  while (Date.now() < end) {
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${what}: not within ${milliseconds} ms${last ? ` (${last.message})` : ''}`);
}
