/** Rows by key, past any transaction. */
type Rows = Map<string, object>;

/** The tables of a store, and the changes of the transaction under way. */
export class Journal {
  readonly #tables: Rows[] = [];
  /** What was there before each change. */
  #changes: { rows: Rows; key: string; before: object | undefined }[] = [];

  addTable(): Rows {
    const rows: Rows = new Map();
    this.#tables.push(rows);
    return rows;
  }

  change(rows: Rows, key: string, row: object | undefined): void {
    this.#changes.push({ rows, key, before: rows.get(key) });
    set(rows, key, row);
  }

  commit(): void {
    this.#changes = [];
  }

  undo(): void {
    for (const { rows, key, before } of this.#changes.toReversed()) set(rows, key, before);
    this.#changes = [];
  }

  /** All tables as they were before the transaction under way, in the order in which they were added. */
  copyCommitted(): ReadonlyMap<string, object>[] {
    const copies = new Map(this.#tables.map((rows) => [rows, new Map(rows)]));
    for (const { rows, key, before } of this.#changes.toReversed()) set(copies.get(rows) ?? new Map(), key, before);
    return [...copies.values()];
  }

  /** Puts a copy in place of all tables; nothing may be under way. */
  replace(copy: readonly ReadonlyMap<string, object>[]): void {
    for (const [index, rows] of this.#tables.entries()) {
      rows.clear();
      for (const [key, row] of copy[index] ?? []) rows.set(key, row);
    }
  }
}

function set(rows: Rows, key: string, row: object | undefined): void {
  if (row === undefined) rows.delete(key);
  else rows.set(key, row);
}

/** Rows by primary key. A row is never changed, only replaced: copies of a table share them. */
export class Table<Row extends object> {
  readonly #journal: Journal;
  readonly #keyOf: (row: Row) => string;
  readonly #rows: Map<string, Row>;

  constructor(journal: Journal, keyOf: (row: Row) => string) {
    this.#journal = journal;
    this.#keyOf = keyOf;
    this.#rows = journal.addTable() as Map<string, Row>;
  }

  get(key: string): Row | undefined {
    return this.#rows.get(key);
  }

  find(isWanted: (row: Row) => boolean): Row | undefined {
    for (const row of this.#rows.values()) if (isWanted(row)) return row;
    return undefined;
  }

  /** In no order that counts. */
  all(): Row[] {
    return [...this.#rows.values()];
  }

  filter(isWanted: (row: Row) => boolean): Row[] {
    return [...this.#rows.values()].filter(isWanted);
  }

  /** Adds a row, or replaces the one with its key. */
  put(row: Row): Row {
    this.#journal.change(this.#rows, this.#keyOf(row), row);
    return row;
  }

  delete(row: Row): void {
    this.#journal.change(this.#rows, this.#keyOf(row), undefined);
  }
}
