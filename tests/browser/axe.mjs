// What keeps people out of a page, by axe-core and by measure.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The rules of axe that look at colours: all others find the same in every theme. */
const rulesOfColours = ['color-contrast', 'link-in-text-block'];

/** What axe finds that keeps people out; of colours only in a second theme, where all else was looked at already. */
export async function findings(page, { onlyColours = false } = {}) {
  // Run by the debugger: the content policy lets no script in, and is not bent for a test. It is large, and stays in the page.
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(`(() => { ${axe}; globalThis.axe ??= axe; })()`);
  return page.evaluate(async (rules) => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'], ...(rules && { runOnly: rules }) });
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`));
  }, onlyColours ? rulesOfColours : null);
}

/** How many pixels stick out of the page at its right. */
export const sticksOut = (page) =>
  page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth));

/** What can be touched and is lower than a finger needs. Words within text, and zones on a drawing, are as large as they are. */
export function tooSmall(page, least = 40) {
  return page.evaluate((height) => {
    const targets = [...document.querySelectorAll('a[href], button, input, select, summary, [role=switch], [role=tab]')];
    return targets.flatMap((target) => {
      const box = target.getBoundingClientRect();
      const seen = target.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && box.width > 1;
      if (!seen || target.matches('.zone-mark, .skip, p a')) return [];
      // A finger meets what is around it as well: labels, and areas that are drawn by `::before` and `::after`.
      const middle = box.left + box.width / 2;
      const meets = (y) => {
        const met = document.elementFromPoint(middle, y);
        return met !== null && (target.contains(met) || met.closest('label')?.contains(target));
      };
      const centre = box.top + box.height / 2;
      if (centre < 80 || centre > innerHeight - 100) return [];
      let [top, bottom] = [centre, centre];
      while (centre - top < height && meets(top - 1)) top -= 1;
      while (bottom - centre < height && meets(bottom + 1)) bottom += 1;
      const name = target.dataset.testid ?? target.className ?? target.tagName;
      return bottom - top + 1 >= height ? [] : [`${name}: ${Math.round(bottom - top + 1)}`];
    });
  }, least);
}

/** From now on adds up how much of the page jumped without anybody having asked for it; to be called before the page is opened. */
export async function measureShift(page) {
  await page.addInitScript(() => {
    globalThis.shifts = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        if (entry.hadRecentInput) continue;
        const of = entry.sources.map(({ node }) => node?.className || node?.parentElement?.className || node?.nodeName);
        globalThis.shifts.push({ value: entry.value, of: of.join(' | ') });
      }
    }).observe({ type: 'layout-shift', buffered: true });
  });
}

/** The sum of the shifts so far, with what moved; begins again. */
export const shiftSoFar = (page) =>
  page.evaluate(() => {
    const shifts = globalThis.shifts.splice(0);
    return { sum: shifts.reduce((sum, { value }) => sum + value, 0), of: shifts };
  });
