/** `npm run docs`: writes what reference.ts makes. */
import { writeFileSync } from 'node:fs';
import { references } from './reference.js';

for (const [file, text] of Object.entries(references())) writeFileSync(file, text);
