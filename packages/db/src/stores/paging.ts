/** Which part of a list is wanted. */
export interface Page {
  /** Counts from 1. */
  page: number;
  /** 0 means all in one page. */
  maxPerPage: number;
}

/** One page of a list, and how many there are in all pages. */
export interface Listed<Item> {
  items: Item[];
  total: number;
}
