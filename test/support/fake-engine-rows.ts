/** Batches of so many rows make the fake engine's worker die, hang or throw. */
export const dieRows = 13;
export const hangRows = 14;
export const errorRows = 15;
export const hangS = 8;

/** `folder` of a fake engine whose device is lost, or hangs, after so many runs. */
export const deviceLost = 'device-lost';
export const deviceHangs = 'device-hangs';
export const runsBeforeLoss = 20;

/** `folder` of a fake engine whose every worker dies at its first run. */
export const diesAlways = 'dies-always';
