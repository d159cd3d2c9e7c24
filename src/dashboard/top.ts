/** The page's head: which stream, how it is, what serves, the theme; and the untrained banner. */
import type { ConnectionState, Snapshot } from '../client/client.js';
import { button, h, setText } from './dom.js';
import type { Feed, PageEvent, Panel } from './feed.js';

const icon = new URL('./icon.svg', import.meta.url).href;
const themes = ['auto', 'light', 'dark'] as const;
type Theme = (typeof themes)[number];
const themeKey = 'eegd-theme';

export class Top implements Panel {
  readonly element: HTMLElement;
  readonly #feed: Feed;
  readonly #streams = h('select', { 'aria-label': 'Stream' });
  readonly #health = h('span', { class: 'health', role: 'status' });
  readonly #model = h('span', { class: 'model' });
  readonly #banner = h('div', { class: 'untrained', role: 'alert' });
  readonly #theme: HTMLButtonElement;
  /** What the engine says, and what the last prediction said: either is enough for the banner. */
  #trained = true;
  #untrainedSeen = false;
  #connected = 'connecting';
  #status: Snapshot['streams'][number] | undefined;

  constructor(feed: Feed) {
    this.#feed = feed;
    this.#theme = button('', () => this.#nextTheme(), { class: 'theme' });
    this.#streams.addEventListener('change', () => feed.choose(this.#streams.value));
    this.#banner.append(
      h('strong', {}, 'UNTRAINED'),
      ' These weights are random. Every prediction on this page is meaningless.',
    );
    this.#banner.hidden = true;
    this.element = h(
      'div',
      { class: 'masthead' },
      h(
        'header',
        {},
        h('h1', {}, h('img', { src: icon, alt: '', width: '22', height: '22' }), 'eegd'),
        this.#streams,
        this.#health,
        h('span', { class: 'gap' }),
        this.#model,
        this.#theme,
      ),
      this.#banner,
    );
    this.#applyTheme(readTheme());
  }

  connection(state: ConnectionState): void {
    this.#connected =
      state.state === 'closed' && state.retryMs === undefined ? 'disconnected' : state.state;
    this.#showHealth();
  }

  onSnapshot({ streams, checkpoint, trained, engine }: Snapshot, stream: string | undefined): void {
    const options = streams.map(({ stream: id, name }) => h('option', { value: id }, name));
    this.#streams.replaceChildren(...options);
    this.#streams.value = stream ?? '';
    this.#streams.hidden = streams.length < 2;
    this.#status = streams.find((each) => each.stream === stream);
    this.#untrainedSeen = false;
    this.#showModel(checkpoint, engine, trained);
    this.#showHealth();
  }

  onEvent(event: PageEvent): void {
    if (event.kind === 'engine') this.#showModel(event.checkpoint, event.engine, event.trained);
    if (event.kind === 'prediction') {
      this.#untrainedSeen = !event.trained;
      this.#banner.hidden = this.#trained && event.trained;
    }
    if (event.kind === 'status' && event.stream === this.#feed.stream) {
      this.#status = event;
      this.#showHealth();
    }
  }

  #showModel(checkpoint: string, engine: string, trained: boolean): void {
    setText(this.#model, `${checkpoint} · ${engine}`);
    this.#trained = trained;
    this.#banner.hidden = trained && !this.#untrainedSeen;
  }

  #showHealth(): void {
    const { name, state, rateHz, nominalRateHz, channels } = this.#status ?? {};
    const open = this.#connected === 'open';
    this.#health.dataset.state = open ? (state ?? 'none') : 'lost';
    if (!open)
      setText(this.#health, connectionText[this.#connected] ?? 'reconnecting to the daemon');
    else if (state === undefined) setText(this.#health, 'no stream: connect a device');
    else if (state !== 'streaming') setText(this.#health, `${name} ${state}`);
    else
      setText(
        this.#health,
        `${name} · ${channels?.length} ch · ${(rateHz || nominalRateHz || 0).toFixed(1)} Hz`,
      );
  }

  #nextTheme(): void {
    const next = themes[(themes.indexOf(readTheme()) + 1) % themes.length] ?? 'auto';
    localStorage.setItem(themeKey, next);
    this.#applyTheme(next);
    this.#feed.theme();
  }

  #applyTheme(theme: Theme): void {
    document.documentElement.dataset.theme = theme;
    setText(this.#theme, { auto: 'Auto', light: 'Light', dark: 'Dark' }[theme]);
    this.#theme.setAttribute('aria-label', `Theme: ${theme}`);
  }
}

const connectionText: Readonly<Record<string, string>> = {
  connecting: 'connecting',
  disconnected: 'not connected',
};

function readTheme(): Theme {
  const saved = localStorage.getItem(themeKey);
  return themes.find((theme) => theme === saved) ?? 'auto';
}
