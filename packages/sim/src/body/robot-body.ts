import type { Clock } from "@hardshare/runtime";
import { ARM_MAX_FEED, armAt, type ArmMove, type ArmPosition } from "./arm.ts";
import { distanceAhead, type Drive, moveFrom, type Pose, START_POSE } from "./motion.ts";

/** Angles of the head, in degrees. */
export interface Head {
  readonly pitch: number;
  readonly roll: number;
  readonly yaw: number;
}

const LEVEL_HEAD: Head = { pitch: 0, roll: 0, yaw: 0 };
const STANDING: Drive = { linearCmPerS: 0, angularDegPerS: 0, durationMs: 0 };
/** Hours until a full battery is empty. */
const BATTERY_HOURS = 10;

/** The robot's body: base, head, arm, battery. Nothing moves by itself: where things are follows from the clock when asked. */
export class RobotBody {
  readonly #clock: Clock;
  readonly #switchedOnMs: number;
  #base: { from: Pose; drive: Drive; sinceMs: number };
  #arm: ArmMove & { sinceMs: number };
  #head = LEVEL_HEAD;
  #boots = 1;
  #bootedMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    const sinceMs = clock.monotonicMs();
    this.#switchedOnMs = sinceMs;
    this.#bootedMs = sinceMs;
    this.#base = { from: START_POSE, drive: STANDING, sinceMs };
    const home = { x: 0, y: 0 };
    this.#arm = { from: home, to: home, feed: ARM_MAX_FEED, sinceMs };
  }

  /** Wall time, for the camera's clock. */
  get time(): Date {
    return new Date(this.#clock.now());
  }

  get base(): { pose: Pose; isMoving: boolean; isAtWall: boolean } {
    return moveFrom(this.#base.from, this.#base.drive, this.#clock.monotonicMs() - this.#base.sinceMs);
  }

  get arm(): { position: ArmPosition; isMoving: boolean; feed: number } {
    return { ...armAt(this.#arm, this.#clock.monotonicMs() - this.#arm.sinceMs), feed: this.#arm.feed };
  }

  /** Drives from where it is now; what it did before ends. */
  drive(drive: Drive): void {
    this.#base = { from: this.base.pose, drive, sinceMs: this.#clock.monotonicMs() };
  }

  moveArm(to: ArmPosition, feed: number): void {
    this.#arm = { from: this.arm.position, to, feed, sinceMs: this.#clock.monotonicMs() };
  }

  /** Sets the angles that are given; the others stay. */
  turnHead(change: { [Angle in keyof Head]?: number | undefined }): Head {
    const { pitch, roll, yaw } = this.#head;
    this.#head = { pitch: change.pitch ?? pitch, roll: change.roll ?? roll, yaw: change.yaw ?? yaw };
    return this.#head;
  }

  /** Base and arm stay where they are. */
  stop(): void {
    this.drive(STANDING);
    this.moveArm(this.arm.position, ARM_MAX_FEED);
  }

  /** Stops, levels the head, and counts. Returns how often it has booted. */
  reboot(): number {
    this.stop();
    this.#head = LEVEL_HEAD;
    this.#bootedMs = this.#clock.monotonicMs();
    this.#boots += 1;
    return this.#boots;
  }

  readSensors(): Record<string, unknown> {
    const { pose, isMoving, isAtWall } = this.base;
    const { position, isMoving: isArmMoving } = this.arm;
    return {
      time: this.time.toISOString(),
      pose: { x: round(pose.x), y: round(pose.y), heading: round(pose.heading) },
      isMoving,
      bumper: isAtWall,
      distanceAhead: round(distanceAhead(pose)),
      head: this.#head,
      arm: { x: round(position.x), y: round(position.y), isMoving: isArmMoving },
      boots: this.#boots,
      uptimeS: round((this.#clock.monotonicMs() - this.#bootedMs) / 1000),
    };
  }

  readBattery(): Record<string, unknown> {
    const hours = (this.#clock.monotonicMs() - this.#switchedOnMs) / 3_600_000;
    const charge = Math.max(0, 1 - hours / BATTERY_HOURS);
    return { chargePercent: round(charge * 100), voltage: round(9.6 + 3 * charge), isCharging: false };
  }
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
