/** From the most urgent to the least; the digits of their marks are their places. */
export const PRIORITIES = ['critical', 'high', 'medium', 'low'] as const
export type Priority = (typeof PRIORITIES)[number]
