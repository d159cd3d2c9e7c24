/** What a client may subscribe to. On its own, so that the page has the list without the schemas. */
export const topics = [
  'predictions',
  'events',
  'status',
  'quality',
  'signal',
  'adaptation',
  'markers',
  'checkpoints',
  'recordings',
  'engine',
] as const;

export type Topic = (typeof topics)[number];
