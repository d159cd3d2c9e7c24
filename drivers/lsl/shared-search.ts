/**
 * One resolver for all inlets of this process that look for something: thirty lost streams ask the
 * network once, not thirty times. It asks for everything of the session and picks here; only a
 * query that looks into <desc>, which short descriptions lack, is asked for by itself.
 */
import type { LslClock } from './clock.js';
import type { LslConfig } from './config.js';
import { buildQuery, Resolver, type StreamSelector } from './resolver.js';
import { type LslStreamInfo, streamInfoXml } from './stream-info.js';
import { compileQuery, type Query } from './xpath.js';

/** Between queries, s: a stream that is back is found within this. */
export const searchIntervalS = 0.2;
const laterSearchIntervalS = 0.5;

interface Seeker {
  readonly matches: Query;
  onAnswer(info: LslStreamInfo): void;
}

const searches = new Map<string, SharedSearch>();

/** Report every answer that fits until closed. Throws `LslError` (`query`). */
export function search(
  selector: StreamSelector,
  network: { readonly config: LslConfig; readonly clock: LslClock },
  onAnswer: (info: LslStreamInfo) => void,
): { close(): void } {
  const { config, clock } = network;
  const matches = compileQuery(buildQuery(selector, config.sessionId));
  if (/desc|\*|\/\//.test(selector.predicate ?? ''))
    return begin(new Resolver(selector, { ...pace, config, clock, onAnswer }));
  const key = JSON.stringify(config);
  const shared = searches.get(key) ?? new SharedSearch(key, network);
  return shared.join({ matches, onAnswer });
}

const pace = { intervalS: searchIntervalS, laterIntervalS: laterSearchIntervalS };

function begin(resolver: Resolver): Resolver {
  void resolver.start().catch(() => undefined);
  return resolver;
}

class SharedSearch {
  readonly #key: string;
  readonly #resolver: Resolver;
  readonly #seekers = new Set<Seeker>();

  constructor(key: string, { config, clock }: { config: LslConfig; clock: LslClock }) {
    this.#key = key;
    searches.set(key, this);
    const onAnswer = (info: LslStreamInfo) => this.#answered(info);
    this.#resolver = begin(new Resolver({}, { ...pace, config, clock, onAnswer }));
  }

  join(seeker: Seeker): { close(): void } {
    this.#seekers.add(seeker);
    this.#resolver.hurry();
    return {
      close: () => {
        this.#seekers.delete(seeker);
        if (this.#seekers.size > 0 || searches.get(this.#key) !== this) return;
        searches.delete(this.#key);
        this.#resolver.close();
      },
    };
  }

  #answered(info: LslStreamInfo): void {
    const context = streamInfoXml(info, false);
    // A copy: whoever is served leaves.
    for (const one of [...this.#seekers]) if (one.matches(context)) one.onAnswer(info);
  }
}
