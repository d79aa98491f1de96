import { FLOOR, type Pose, ROBOT_RADIUS_M } from "../body/motion.ts";
import { DIGIT_HEIGHT, DIGIT_WIDTH, DIGITS } from "./digits.ts";
import type { PalettePicture } from "./png.ts";

/** Sizes that the camera can give, in pixels. */
export const PICTURE_LIMITS = { minWidth: 80, maxWidth: 1280, minHeight: 60, maxHeight: 960 } as const;

const FLOOR_COLOUR = 0;
const GRID_COLOUR = 1;
const ROBOT_COLOUR = 2;
const NOSE_COLOUR = 3;
const CLOCK_BACK_COLOUR = 4;
const CLOCK_COLOUR = 5;
const PALETTE: PalettePicture["palette"] = [
  [236, 239, 241],
  [176, 190, 197],
  [21, 101, 192],
  [255, 193, 7],
  [0, 0, 0],
  [255, 255, 255],
];
const GRID_M = 0.5;

/** What the camera above the floor sees: the grid, the robot as a dot with a nose, and a clock at the top left. */
export function drawPicture(width: number, height: number, pose: Pose, time: Date): PalettePicture {
  const pixels = new Uint8Array(width * height).fill(FLOOR_COLOUR);
  const paint = (x: number, y: number, colour: number) => {
    if (x >= 0 && x < width && y >= 0 && y < height) pixels[y * width + x] = colour;
  };
  const scale = Math.min(width / FLOOR.width, height / FLOOR.depth);
  const toX = (metres: number) => Math.round(metres * scale);
  const toY = (metres: number) => Math.round((FLOOR.depth - metres) * scale);
  for (let metres = 0; metres <= FLOOR.width; metres += GRID_M) {
    for (let y = 0; y <= toY(0); y += 1) paint(toX(metres), y, GRID_COLOUR);
  }
  for (let metres = 0; metres <= FLOOR.depth; metres += GRID_M) {
    for (let x = 0; x <= toX(FLOOR.width); x += 1) paint(x, toY(metres), GRID_COLOUR);
  }
  const heading = (pose.heading * Math.PI) / 180;
  const nose = { x: pose.x + 0.7 * ROBOT_RADIUS_M * Math.cos(heading), y: pose.y + 0.7 * ROBOT_RADIUS_M * Math.sin(heading) };
  paintDisc(paint, toX(pose.x), toY(pose.y), ROBOT_RADIUS_M * scale, ROBOT_COLOUR);
  paintDisc(paint, toX(nose.x), toY(nose.y), 0.3 * ROBOT_RADIUS_M * scale, NOSE_COLOUR);
  paintClock(paint, clockScale(width), time);
  return { width, height, pixels, palette: PALETTE };
}

type Paint = (x: number, y: number, colour: number) => void;

function paintDisc(paint: Paint, centreX: number, centreY: number, radius: number, colour: number): void {
  const reach = Math.ceil(radius);
  for (let dy = -reach; dy <= reach; dy += 1) {
    for (let dx = -reach; dx <= reach; dx += 1) {
      if (Math.hypot(dx, dy) <= radius) paint(centreX + dx, centreY + dy, colour);
    }
  }
}

/** Pixels for one dot of the clock's digits. */
export function clockScale(width: number): number {
  return Math.max(1, Math.floor(width / 160));
}

/** Universal time as HH:MM:SS.mmm; a dot's margin around, a dot's gap between characters. */
function paintClock(paint: Paint, scale: number, time: Date): void {
  const text = time.toISOString().slice(11, 23);
  const paintDot = (column: number, row: number, colour: number) => {
    for (let y = 0; y < scale; y += 1) for (let x = 0; x < scale; x += 1) paint(column * scale + x, row * scale + y, colour);
  };
  for (let row = 0; row < DIGIT_HEIGHT + 2; row += 1) {
    for (let column = 0; column <= text.length * (DIGIT_WIDTH + 1); column += 1) paintDot(column, row, CLOCK_BACK_COLOUR);
  }
  for (const [place, character] of Array.from(text).entries()) {
    for (const [row, dots] of (DIGITS[character] ?? []).entries()) {
      for (const [column, dot] of Array.from(dots).entries()) {
        if (dot === "#") paintDot(1 + place * (DIGIT_WIDTH + 1) + column, 1 + row, CLOCK_COLOUR);
      }
    }
  }
}
