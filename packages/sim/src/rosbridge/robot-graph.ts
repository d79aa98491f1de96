import type { Clock } from "@hardshare/runtime";
import type { RobotBody } from "../body/robot-body.ts";

/** A message of ROS as JSON. */
export type RosMessage = Readonly<Record<string, unknown>>;

/** A goal that is being pursued. */
export interface RunningGoal {
  /** Settles with the result: 4 succeeded, 5 cancelled (action_msgs/GoalStatus). */
  readonly done: Promise<{ readonly status: number; readonly values: RosMessage }>;
  cancel(): void;
}

/** What the robot's ROS nodes offer. Names are absolute. */
export interface RobotGraph {
  /** Type of each topic. */
  readonly topics: Readonly<Record<string, string>>;
  /** Topics that the robot reads. */
  readonly receivers: Readonly<Record<string, (message: RosMessage) => void>>;
  /** Topics that the robot publishes, ten times a second. */
  readonly senders: Readonly<Record<string, () => RosMessage>>;
  /** @throws Error when the call fails */
  readonly services: Readonly<Record<string, (args: RosMessage) => RosMessage>>;
  readonly actions: Readonly<Record<string, (args: RosMessage, onFeedback: (values: RosMessage) => void) => RunningGoal>>;
}

/** A velocity holds for so long, as with most drivers of mobile robots. */
const VELOCITY_HOLDS_MS = 500;
const FEEDBACK_EVERY_MS = 100;

/** The nodes of the simulated robot: a base, a battery, parameters, and an action that drives a distance. */
export function makeRobotGraph(body: RobotBody, clock: Clock): RobotGraph {
  const topics = {
    "/cmd_vel": "geometry_msgs/Twist",
    "/odom": "nav_msgs/Odometry",
    "/scan": "sensor_msgs/LaserScan",
    "/battery": "sensor_msgs/BatteryState",
  };
  const parameters = new Map<string, string>([["/base/max_speed", "0.5"]]);
  return {
    topics,
    receivers: {
      "/cmd_vel": (message) =>
        body.drive({
          linearCmPerS: numberAt(message, "linear", "x") * 100,
          angularDegPerS: (numberAt(message, "angular", "z") * 180) / Math.PI,
          durationMs: VELOCITY_HOLDS_MS,
        }),
    },
    senders: {
      "/odom": () => {
        const { x, y, heading } = body.base.pose;
        const half = (heading * Math.PI) / 360;
        const orientation = { x: 0, y: 0, z: Math.sin(half), w: Math.cos(half) };
        return { header: { frame_id: "odom" }, child_frame_id: "base", pose: { pose: { position: { x, y, z: 0 }, orientation } } };
      },
      "/scan": () => ({ header: { frame_id: "base" }, range_min: 0, range_max: 10, ranges: [body.readSensors()["distanceAhead"]] }),
      "/battery": () => ({ percentage: Number(body.readBattery()["chargePercent"]) / 100, voltage: body.readBattery()["voltage"] }),
    },
    services: {
      "/reboot": () => ({ success: true, message: `booted ${body.reboot()} times` }),
      "/base/set_parameters": (args) => ({ results: [set(parameters, args)] }),
      "/rosapi/topics": () => ({ topics: Object.keys(topics), types: Object.values(topics) }),
      "/rosapi/set_param": (args) => set(parameters, args),
      "/rosapi/get_param": ({ name }) => ({ value: parameters.get(String(name)) ?? "null", successful: true, reason: "" }),
    },
    actions: { "/drive_distance": (args, onFeedback) => driveDistance({ body, clock, args, onFeedback }) },
  };
}

function set(parameters: Map<string, string>, { name, value }: RosMessage): RosMessage {
  parameters.set(String(name), String(value));
  return { successful: true, reason: "" };
}

/** Goal: `distance` in metres, `speed` in metres per second. */
function driveDistance(options: {
  body: RobotBody;
  clock: Clock;
  args: RosMessage;
  onFeedback: (values: RosMessage) => void;
}): RunningGoal {
  const { body, clock, args, onFeedback } = options;
  const distance = numberAt(args, "distance");
  const speed = Math.max(0.01, Math.abs(numberAt(args, "speed") || 0.1));
  const durationMs = (Math.abs(distance) / speed) * 1000;
  const beganMs = clock.monotonicMs();
  body.drive({ linearCmPerS: Math.sign(distance) * speed * 100, angularDegPerS: 0, durationMs });
  const driven = () => ({ driven: Math.min(Math.abs(distance), ((clock.monotonicMs() - beganMs) / 1000) * speed) });
  let settle: (status: number) => void = () => {};
  const done = new Promise<{ status: number; values: RosMessage }>((resolve) => {
    let timer: Disposable;
    settle = (status) => {
      timer[Symbol.dispose]();
      resolve({ status, values: driven() });
    };
    const step = () => {
      const leftMs = durationMs - (clock.monotonicMs() - beganMs);
      if (leftMs <= 0) return settle(4);
      onFeedback(driven());
      timer = clock.after(Math.min(FEEDBACK_EVERY_MS, leftMs), step);
    };
    timer = clock.after(Math.min(FEEDBACK_EVERY_MS, durationMs), step);
  });
  return {
    done,
    cancel: () => {
      body.stop();
      settle(5);
    },
  };
}

function numberAt(message: RosMessage, ...place: readonly string[]): number {
  let value: unknown = message;
  for (const name of place) value = typeof value === "object" && value !== null ? (value as RosMessage)[name] : undefined;
  return typeof value === "number" ? value : 0;
}
