/** Where the robot stands on its floor. */
export interface Pose {
  /** Metres from the floor's left edge. */
  readonly x: number;
  /** Metres from the floor's lower edge. */
  readonly y: number;
  /** Degrees from the x axis, counter-clockwise, in [0, 360). */
  readonly heading: number;
}

/** A drive command: constant speeds for a time. */
export interface Drive {
  readonly linearCmPerS: number;
  readonly angularDegPerS: number;
  readonly durationMs: number;
}

/** The floor, in metres; its walls stop the robot. */
export const FLOOR = { width: 4, depth: 3 } as const;
export const ROBOT_RADIUS_M = 0.15;
export const START_POSE: Pose = { x: FLOOR.width / 2, y: FLOOR.depth / 2, heading: 90 };

/** Small enough that arcs are right to a millimetre. */
const STEP_MS = 10;

/**
 * Where a robot is, so long after it began to drive. It stops when the time of the command is over, or at a wall.
 * @param elapsedMs since the command began
 */
export function moveFrom(start: Pose, drive: Drive, elapsedMs: number): { pose: Pose; isMoving: boolean; isAtWall: boolean } {
  const untilMs = Math.min(elapsedMs, drive.durationMs);
  let pose = start;
  for (let at = 0; at < untilMs; at += STEP_MS) {
    const next = step(pose, drive, Math.min(STEP_MS, untilMs - at) / 1000);
    const isAtWall = !isOnFloor(next);
    if (isAtWall) return { pose, isMoving: false, isAtWall };
    pose = next;
  }
  return { pose, isMoving: elapsedMs < drive.durationMs, isAtWall: false };
}

function step(pose: Pose, drive: Drive, seconds: number): Pose {
  const turn = drive.angularDegPerS * seconds;
  const way = (drive.linearCmPerS / 100) * seconds;
  const direction = ((pose.heading + turn / 2) * Math.PI) / 180; // the chord of the arc
  return {
    x: pose.x + way * Math.cos(direction),
    y: pose.y + way * Math.sin(direction),
    heading: (((pose.heading + turn) % 360) + 360) % 360,
  };
}

function isOnFloor({ x, y }: Pose): boolean {
  return x >= ROBOT_RADIUS_M && x <= FLOOR.width - ROBOT_RADIUS_M && y >= ROBOT_RADIUS_M && y <= FLOOR.depth - ROBOT_RADIUS_M;
}

/** Metres of free floor in front of the robot. */
export function distanceAhead({ x, y, heading }: Pose): number {
  const [dx, dy] = [Math.cos((heading * Math.PI) / 180), Math.sin((heading * Math.PI) / 180)];
  const toWall = (position: number, direction: number, size: number) => {
    if (Math.abs(direction) < 1e-9) return Number.POSITIVE_INFINITY;
    return ((direction > 0 ? size : 0) - position) / direction;
  };
  return Math.max(0, Math.min(toWall(x, dx, FLOOR.width), toWall(y, dy, FLOOR.depth)) - ROBOT_RADIUS_M);
}
