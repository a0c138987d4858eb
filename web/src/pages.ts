/** Owns the size of pages: that of the recorded system, or more where there would be too many of them. */

const USUAL_PAGE = 4096;
const MOST_PAGES = 1 << 24;

/** Bytes of a page of the system; what is usual where the trace does not say. */
export function systemPage(told: number): number {
  return told || USUAL_PAGE;
}

/** Bytes of a page of the curves in a space of this size. */
export function pageFor(size: number, told: number): number {
  let page = systemPage(told);
  while (size / page > MOST_PAGES) page *= 2;
  return page;
}
