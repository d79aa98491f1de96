import { toAppError } from "@hardshare/protocol";
import { type LoadedContract, parseContract } from "../contract/load-contract.ts";
import { NO_CONTRACT } from "./offer.ts";

/** The contract with which an instance of the daemon before began; none, and why, where this version cannot read it. */
export function readJournalledContract(started: { contract: string; folder: string }): { loaded: LoadedContract; problem?: string } {
  try {
    return { loaded: parseContract(started.contract, "the contract in the journal", started.folder) };
  } catch (error) {
    return {
      loaded: NO_CONTRACT,
      problem: `the programs for the end were not run, because the contract cannot be read: ${toAppError(error).message}`,
    };
  }
}
