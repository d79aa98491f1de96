import { promisify } from "node:util";
import { crc32, deflate } from "node:zlib";

/** A picture of which each pixel is an index into a palette. */
export interface PalettePicture {
  readonly width: number;
  readonly height: number;
  /** Row by row from the top left, `width × height` bytes. */
  readonly pixels: Uint8Array;
  /** Red, green, blue, each 0–255. */
  readonly palette: readonly (readonly [number, number, number])[];
}

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const compress = promisify<Buffer, { level: number }, Buffer>(deflate);

/** Encodes a picture as PNG (ISO/IEC 15948): 8 bits a pixel, indexed colour, no filter, not interlaced. */
export async function encodePng({ width, height, pixels, palette }: PalettePicture): Promise<Buffer> {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3, 0, 0, 0], 8);
  const rows = Buffer.alloc((width + 1) * height); // each row begins with its filter type, 0
  for (let y = 0; y < height; y += 1) rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  return Buffer.concat([
    SIGNATURE,
    encodeChunk("IHDR", header),
    encodeChunk("PLTE", Buffer.from(palette.flat())),
    encodeChunk("IDAT", await compress(rows, { level: 1 })),
    encodeChunk("IEND", Buffer.alloc(0)),
  ]);
}

function encodeChunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, checksum]);
}
