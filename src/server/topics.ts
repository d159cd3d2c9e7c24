/** What a client may subscribe to. Alone here, so that the page has it without the schemas. */
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
