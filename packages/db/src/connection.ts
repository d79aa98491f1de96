/** Where a database is and as whom to connect: a URL `postgres://…`, or its parts (JSON, so that it can be handed to another process). */
export type Connection = string | ConnectionParts;

export interface ConnectionParts {
  /** Host name, or the absolute path of the folder of the Unix socket. */
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
}
