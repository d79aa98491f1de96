import { setFlagsFromString } from "node:v8";

/** Full collections come when the heap has grown by 300 %. */
export const HEAP_GROWTH_OPTION = "--heap-growing-percent=300";

/**
 * Lets the heap grow to four times what is alive between two full collections, V8's own largest step. Call it once, at
 * the start of a program that carries streams: V8 counts their buffers, which die young, as growth of the old heap, and
 * where it takes its smallest step (8 MB) it marks the whole heap every 6 MB of a stream, which halves its speed; with
 * this the buffers go in collections of the young alone, every 32 MB. A V8
 * without the option says so on standard error and goes on.
 */
export function allowHeapGrowth(): void {
  setFlagsFromString(HEAP_GROWTH_OPTION);
}
