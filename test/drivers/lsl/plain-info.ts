/** A stream's short description, for tests. */
import { emptyDesc, type LslStreamInfo } from '../../../drivers/lsl/stream-info.js';

export const plainInfo: LslStreamInfo = {
  ...{ name: 'amp', type: 'EEG', channelCount: 2, format: 'float32', rateHz: 250, version: 110 },
  ...{ sourceId: 's', createdAtS: 12.5, uid: 'u-1', sessionId: 'default', hostname: 'lab' },
  ...{ v4Address: '', v4DataPort: 16572, v4ServicePort: 16573 },
  ...{ v6Address: '', v6DataPort: 0, v6ServicePort: 0 },
  desc: emptyDesc,
};
