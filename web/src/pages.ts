/** Owns the size of pages: that of the system, or more where there would be too many of them. */

const PAGE = 4096;
const MOST_PAGES = 1 << 24;

/** Bytes of a page in a space of this size. */
export function pageFor(size: number): number {
  let page = PAGE;
  while (size / page > MOST_PAGES) page *= 2;
  return page;
}
