import { parseWith } from "@hardshare/protocol";
import * as z from "zod";
import type { RobotBody } from "../body/robot-body.ts";
import { drawPicture, PICTURE_LIMITS } from "../camera/picture.ts";
import { encodePng } from "../camera/png.ts";

/** One thing that the robot's HTTP API can do. */
export interface Action {
  readonly method: "GET" | "POST";
  readonly path: string;
  /**
   * Does it. An object is answered as JSON, bytes as a PNG.
   * @throws AppError `bad_input` that names the field
   */
  run(input: ActionInput): Promise<Record<string, unknown> | Buffer> | Record<string, unknown>;
}

interface ActionInput {
  readonly query: Readonly<Record<string, string>>;
  /** What the JSON body says; `{}` when there is none. */
  readonly body: unknown;
}

const DriveBody = z.strictObject({
  /** Centimetres per second. */
  LinearVelocity: z.number().min(-50).max(50),
  /** Degrees per second, counter-clockwise. */
  AngularVelocity: z.number().min(-180).max(180).default(0),
  TimeMS: z.int().min(0).max(60_000),
});

/** Degrees. */
const HeadBody = z
  .strictObject({
    Pitch: z.number().min(-40).max(26).optional(),
    Roll: z.number().min(-40).max(40).optional(),
    Yaw: z.number().min(-81).max(81).optional(),
  })
  .refine((body) => Object.values(body).some((angle) => angle !== undefined), "expected at least one of Pitch, Roll, Yaw");

function pixels(min: number, max: number, usual: number) {
  const message = `expected a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,5}$/, message)
    .transform(Number)
    .refine((value) => value >= min && value <= max, message)
    .default(usual);
}

const PictureQuery = z.object({
  Width: pixels(PICTURE_LIMITS.minWidth, PICTURE_LIMITS.maxWidth, 320),
  Height: pixels(PICTURE_LIMITS.minHeight, PICTURE_LIMITS.maxHeight, 240),
});

/** The routes of the robot's HTTP API. */
export function listActions(body: RobotBody): Action[] {
  return [
    { method: "GET", path: "/api/sensors", run: () => body.readSensors() },
    { method: "GET", path: "/api/battery", run: () => body.readBattery() },
    {
      method: "GET",
      path: "/api/cameras/rgb",
      run: async (input) => {
        const { Width, Height } = parseWith(PictureQuery, input.query, "query");
        return await encodePng(drawPicture(Width, Height, body.base.pose, body.time));
      },
    },
    {
      method: "POST",
      path: "/api/drive/time",
      run: (input) => {
        const { LinearVelocity, AngularVelocity, TimeMS } = parseWith(DriveBody, input.body, "body");
        body.drive({ linearCmPerS: LinearVelocity, angularDegPerS: AngularVelocity, durationMs: TimeMS });
        return { result: "driving" };
      },
    },
    {
      method: "POST",
      path: "/api/head",
      run: (input) => {
        const { Pitch, Roll, Yaw } = parseWith(HeadBody, input.body, "body");
        return { result: "turned", head: body.turnHead({ pitch: Pitch, roll: Roll, yaw: Yaw }) };
      },
    },
    { method: "POST", path: "/api/reboot", run: () => ({ result: "rebooted", boots: body.reboot() }) },
  ];
}
