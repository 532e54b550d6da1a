/** Number, name, kind, of what, repeated, which choice it belongs to (0: none). */
export type Field = readonly [number, string, string, string, 0 | 1, number]
/** The fields of a message. */
export type Table = readonly Field[]
