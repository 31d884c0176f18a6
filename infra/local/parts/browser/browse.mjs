// One walk of a real browser (Chromium, headless) through the connect page, by
// keyboard alone, told on standard input (JSON): where to begin, and what to do on
// each page. It prints what it saw of each page: the accessibility tree, what
// axe-core finds wrong, and what the browser itself complained about. It allows
// the browser no address but this machine.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import chromium from '@sparticuz/chromium';
import puppeteer from 'puppeteer-core';

const { start, steps } = JSON.parse(await text(process.stdin));
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const browser = await puppeteer.launch({
  executablePath: await chromium.executablePath(),
  headless: 'shell',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
});

// focus presses Tab until the element that a selector names has the focus.
async function focus(page, selector) {
  for (let pressed = 0; pressed < 40; pressed += 1) {
    if (await page.evaluate((wanted) => Boolean(document.activeElement?.matches(wanted)), selector)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`the keyboard does not reach ${selector}`);
}

// outlined says whether one can see where the focus is.
const outlined = (page) => page.evaluate(() => {
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
});

function roles(node, list = []) {
  list.push({ role: node.role, name: node.name, level: node.level });
  for (const child of node.children ?? []) roles(child, list);
  return list;
}

async function look(page) {
  await page.evaluate(axe);
  const findings = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { preload: false });
    return violations.map(({ id, help, nodes }) => `${id}: ${help} (${nodes.map((node) => node.html).join(' | ')})`);
  });
  return {
    url: page.url(), title: await page.title(), heading: await page.$eval('h1', (h) => h.textContent).catch(() => ''),
    tree: roles(await page.accessibility.snapshot({ interestingOnly: false })), findings,
  };
}

try {
  const page = await browser.newPage();
  const complaints = [];
  page.on('console', (message) => { if (message.type() === 'error' && page.url().startsWith(new URL(start).origin)) complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(error.message));
  const saw = [];
  await page.goto(start, { waitUntil: 'load' });
  for (const step of steps) {
    await page.waitForSelector(step.wait, { timeout: 20000 });
    if (step.look) {
      saw.push(await look(page));
    }
    for (const [selector, typed] of Object.entries(step.type ?? {})) {
      await focus(page, selector);
      await page.keyboard.type(typed);
    }
    if (step.press) {
      await focus(page, step.press);
      if (step.look) saw.at(-1).outlined = await outlined(page);
      await page.keyboard.press('Enter');
    }
  }
  const cookies = (await browser.cookies()).filter(({ name }) => name.startsWith('__Host-'))
    .map(({ name, secure, httpOnly, sameSite, path }) => ({ name, secure, httpOnly, sameSite, path }));
  console.log(JSON.stringify({ pages: saw, complaints, cookies, script: await page.evaluate(() => document.scripts.length) }));
} finally {
  await browser.close();
}
