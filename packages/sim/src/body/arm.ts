/** A point of the arm's plane, in millimetres. */
export interface ArmPosition {
  readonly x: number;
  readonly y: number;
}

/** A straight move of the arm's tip. */
export interface ArmMove {
  readonly from: ArmPosition;
  readonly to: ArmPosition;
  /** Millimetres per minute. */
  readonly feed: number;
}

/** The arm reaches from 0 to this in both directions, in millimetres. */
export const ARM_REACH_MM = 200;
/** Fastest feed, and that of a rapid move (`G0`), in millimetres per minute. */
export const ARM_MAX_FEED = 6000;

/** Where the tip is, so long after the move began. */
export function armAt({ from, to, feed }: ArmMove, elapsedMs: number): { position: ArmPosition; isMoving: boolean } {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const done = (feed * elapsedMs) / 60_000;
  if (done >= length) return { position: to, isMoving: false };
  const part = done / length;
  return { position: { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part }, isMoving: true };
}
