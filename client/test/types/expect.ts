/** True where the types are the same, and not merely assignable to each other. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Compiles only for a true claim about types: is<Same<A, B>>(). */
export function is<Claim extends true>(): Claim | void {}
