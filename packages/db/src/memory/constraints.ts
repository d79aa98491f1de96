/** What PostgreSQL says when a row breaks the schema. As there, the transaction can't go on after it. */
export class ConstraintError extends Error {
  override readonly name = "ConstraintError";
  readonly constraint: string;

  constructor(message: string, constraint: string) {
    super(`${message} "${constraint}"`);
    this.constraint = constraint;
  }
}

/** @throws ConstraintError when another row is there */
export function requireUnique(other: object | undefined, constraint: string): void {
  if (other !== undefined) throw new ConstraintError("duplicate key value violates unique constraint", constraint);
}

/** @throws ConstraintError when the row that is referred to is not there */
export function requireReferenced(row: object | undefined, table: string, constraint: string): void {
  if (row !== undefined) return;
  throw new ConstraintError(`insert or update on table "${table}" violates foreign key constraint`, constraint);
}

/** @throws ConstraintError when the condition does not hold */
export function requireCheck(holds: boolean, table: string, constraint: string): void {
  if (!holds) throw new ConstraintError(`new row for relation "${table}" violates check constraint`, constraint);
}
