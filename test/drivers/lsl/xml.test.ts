/** Metadata of strangers: what is well-formed is read, what is hostile is refused, both at once. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeChannels, readChannels } from '../../../drivers/lsl/channels.js';
import { isLslError } from '../../../drivers/lsl/errors.js';
import { emptyDesc, formatStreamInfo, parseStreamInfo } from '../../../drivers/lsl/stream-info.js';
import { element, formatXml, parseXml, type XmlElement } from '../../../drivers/lsl/xml.js';
import { plainInfo } from './plain-info.js';

const refused: Record<string, string> = {
  'a document type': '<!DOCTYPE info [<!ENTITY a "b">]><info/>',
  'an entity bomb':
    '<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><info><name>&b;</name></info>',
  'an external entity': '<!DOCTYPE i [<!ENTITY x SYSTEM "file:///etc/passwd">]><i>&x;</i>',
  'an entity of one’s own': '<info>&bomb;</info>',
  'an entity without its end': '<info>a &amp b</info>',
  'a control character': '<info>\u0001</info>',
  'a control character by number': '<info>&#1;</info>',
  'a surrogate by number': '<info>&#xd800;</info>',
  'more than Unicode has': '<info>&#x110000;</info>',
  'a tag that is not closed': '<info><a></info>',
  'tags that cross': '<a><b></a></b>',
  'an end without a begin': '</info>',
  'two roots': '<a/><b/>',
  'text outside': 'hello <a/>',
  'a bare <': '<a>1 < 2</a>',
  'a tag that never ends': '<info ',
  'a comment that never ends': '<info><!-- ',
  'an attribute without quotes': '<info a=1/>',
  'nothing at all': '',
  'more than 32 levels': `${'<a>'.repeat(33)}${'</a>'.repeat(33)}`,
  'more than 256 KiB': `<a>${'x'.repeat(256 * 1024)}</a>`,
  'more than 32,768 elements': `<a>${'<b/>'.repeat(32_768)}</a>`,
};

describe('metadata', () => {
  test.each(Object.entries(refused))('%s is refused', (_, text) => {
    expect(() => parseXml(text)).toThrow(/metadata refused: expected/);
  });

  test('what XML has is read', () => {
    const text =
      '\ufeff<?xml version="1.0"?>\n<!-- <x> --><info at="1" b = \'2\'><name>a &lt;&#956;&#x3bc;&amp; b' +
      '</name><v4address /><desc><![CDATA[<&raw;>]]><x.y-z_1/></desc></info>\n';
    expect(parseXml(text)).toEqual(
      element('info', [
        element('name', 'a <μμ& b'),
        element('v4address'),
        { name: 'desc', text: '<&raw;>', children: [element('x.y-z_1')] },
      ]),
    );
  });

  test('any tree comes back as it was written', () => {
    const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_.-]{0,8}$/);
    const text = fc.string({ unit: 'grapheme', maxLength: 20 }).map((one) => one.trim());
    const { tree } = fc.letrec<{ tree: XmlElement }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.record({ name, text, children: fc.constant([]) }),
        fc.record({
          name,
          text: fc.constant(''),
          children: fc.array(tie('tree'), { minLength: 1, maxLength: 4 }),
        }),
      ),
    }));
    fc.assert(
      fc.property(tree, (one) => {
        expect(parseXml(formatXml(one))).toEqual(one);
      }),
      { numRuns: 2000 },
    );
  });

  test('any text is read or refused, never more', () => {
    const piece = fc.constantFrom('<', '>', '/', '&', ';', '<!', '<?', ']]>', '"', 'a', ' ', '=');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        try {
          parseXml(pieces.join(''));
        } catch (error) {
          expect(isLslError(error, 'metadata')).toBe(true);
        }
      }),
      { numRuns: 20_000 },
    );
  });
});

describe('stream info', () => {
  test('it comes back as it was written', () => {
    const channels = [
      { label: 'C3', type: 'EEG', unit: 'uV', location: [-50, 0.5, 60] as const },
      { label: 'Größe <&>', type: '', unit: '' },
    ];
    const info = { ...plainInfo, desc: describeChannels(channels) };
    expect(parseStreamInfo(formatStreamInfo(info, true))).toEqual(info);
    expect(readChannels(info)).toEqual(channels);
    expect(parseStreamInfo(formatStreamInfo(info, false)).desc).toEqual(emptyDesc);
  });

  test('numbers as each liblsl writes them are understood', () => {
    const text = formatStreamInfo(plainInfo, true)
      .replace('>250<', '>250.0000000000000<')
      .replace('>1.1<', '>1.100000000000000<');
    expect(parseStreamInfo(text)).toEqual(plainInfo);
    expect(parseStreamInfo(text.replace('1.100000000000000', '1.1000000000000001'))).toEqual(
      plainInfo,
    );
  });

  const faults: [string, string][] = [
    ['<name>amp</name>', '<name />'],
    ['<uid>u-1</uid>', '<uid />'],
    ['<channel_count>2<', '<channel_count>1025<'],
    ['<channel_count>2<', '<channel_count>-1<'],
    ['<channel_count>2<', '<channel_count>1.5<'],
    ['<channel_format>float32<', '<channel_format>float16<'],
    ['<nominal_srate>250<', '<nominal_srate>NaN<'],
    ['<nominal_srate>250<', '<nominal_srate>-1<'],
    ['<v4data_port>16572<', '<v4data_port>65536<'],
    ['<version>1.1<', '<version>0<'],
    ['<name>amp<', `<name>${'n'.repeat(1025)}<`],
  ];
  test.each(faults)('%s become %s is refused with the field', (from, to) => {
    const text = formatStreamInfo(plainInfo, true).replace(from, to);
    expect(text).toContain(to);
    const field = /^<(\w+)/.exec(from)?.[1] ?? '';
    expect(() => parseStreamInfo(text)).toThrow(
      new RegExp(field === 'channel_format' ? 'channel format' : `<${field}>`),
    );
  });

  test('channels that are not described are called by their number', () => {
    const desc = describeChannels([{ label: '', type: 'EEG', unit: 'uV' }]);
    expect(readChannels({ ...plainInfo, desc }).map((one) => one.label)).toEqual(['ch1', 'ch2']);
  });
});
