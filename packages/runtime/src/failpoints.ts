/**
 * Named places where a test can make a process fail. Each executor step passes one before and one after it acts.
 * In production `noFailpoints` is used: nothing happens.
 */
export interface Failpoints {
  /** Passed with its name; a test's implementation may throw, never settle, or kill the process. */
  pass(name: string): Promise<void>;
}

export const noFailpoints: Failpoints = { pass: async () => {} };
