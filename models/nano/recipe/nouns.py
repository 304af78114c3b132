"""Nouns that the model is not taught to see, only to refuse: real ones, and words that nobody uses.

SPDX-License-Identifier: LGPL-2.1-or-later

None of them is among those that evaluate.py asks for, so that what is measured there is not learnt by heart.
Among them are words that begin or end like a taught kind's, and taught words with a letter changed: a word is
known by all of its letters or not at all.
"""
import string

ENDINGS = (('ch', 'es'), ('sh', 'es'), ('s', 'es'), ('x', 'es'), ('', 's'))

NOUNS = (
    'ant anchor angel apricot arrow axe baby badger bag ball balloon bandage barn barrel basket bat battery beach '
    'bead bean beard beaver bee beetle bell belt bicep billboard bin biscuit blanket blender block board bone boot '
    'box bracelet brain branch bread brick bridge broom brush bucket bulb bulldozer button cabbage cabin cactus '
    'calculator calendar camel camera canal candle cannon canoe cap cape card cardboard cardigan cargo carnival carp '
    'carpet cart cartoon castle catalogue caterpillar cathedral cave ceiling chain cherry chest chicken child '
    'chimney church cigar cinema circle cloud clover coat cobweb coconut coffin coin collar column comb comet '
    'compass computer cone cook corn cottage cow-bell crab crane crate crayon cricket crocodile crossing crown '
    'crystal cube cucumber cupboard curtain cushion cymbal daisy dam dart deer desk diamond dice dinosaur dish '
    'dogma dollar dolphin doll donkey door dragon drawer dress drill drum duck eagle ear egg emerald engine '
    'envelope eraser eye face factory falcon fan feather fence ferry fig finger fire fireplace fish flag flame '
    'flute fountain fox fridge frog fruit funnel game garage garden garlic gate ghost glacier glass glove goat '
    'goggle goose gorilla grape grass grill guitar hammer hamster hand hat hawk heart hedge hedgehog helicopter '
    'helmet hill hinge hippo hole honey hook hose hospital hotel hurdle ice iceberg igloo insect iron island jacket '
    'jar jellyfish jewel jug juice kangaroo kettle key kidney king kitchen kiwi knight knot koala ladder lake '
    'lamp lantern lawn leaf leg lemon leopard letter lettuce library lifebelt lighter lighthouse lime line lion lip '
    'lizard lobster lock log lorikeet lung magnet mailbox map mask match medal melon microphone mill mirror mole '
    'money monitor monkey moon moose mop mosque mosquito moth mountain mouse mouth muffin mug mushroom nail neck '
    'necklace needle nest net newspaper nose notebook nurse nut oak oar octopus office olive onion orchid ostrich '
    'otter owl oyster paddle page pail palace pan panda pants paper parachute parcel park parrot path pea peach '
    'peacock peanut pear pebble pen pencil penguin pepper perfume piano pie pig pigeon '
    'pillow pin pine pineapple pipe pirate planet plant plate plough plum pocket pond pool poster pot potato '
    'printer prison projector pump pumpkin puppet purse pyramid queen rabbit radar radio raft rail rainbow rake '
    'raspberry rat razor ribbon rice ring river road robot rock rocket roof rooster rope rose ruler saddle sail '
    'salmon salt sandal satellite saucer saw scale scarf school scooter screen screw seagull seal seat shark shell '
    'shield ship shirt shoe shop shovel shower shrimp shrub sign sink skeleton skirt skull sled sleeve slipper '
    'slug snail snake snow sock soldier spade spider sponge squirrel stage stamp star statue stick stool storm '
    'stove strawberry string submarine sun swan sword syringe taco tank tap tape target tea '
    'teapot telescope tent tiger tile toad toast tomato tooth torch tower toy tractor traffic-cone trailer '
    'tray treasure triangle trick trolley trombone trophy trouser trumpet trunk tunnel turkey turtle tyre unicorn '
    'valley violin volcano vulture wagon wall wallet walnut walrus washer wasp watch wave web well whale wheel '
    'whistle wig window wing wolf wood worm wrench yacht yak yam yoghurt zip').split()

ADJECTIVES = ('big small old new broken wooden plastic tiny empty shiny flat round soft wet').split()

SYLLABLES = ('ba be bo ca ce co da de do fa fe fi ga go ha hi jo ka ke ki la le li lo ma me mi mo na ne no pa pe pi '
             'po ra re ri ro sa se si so ta te ti to tru bus car cat dog per bi va ve vo wa wi za zo').split()
CODAS = ('', '', 'n', 'r', 'l', 'm', 'x', 't', 'ck', 'rd')


# What evaluate.py asks for, and nothing that is trained.
HELD_OUT = (
    'birds horses cows sheep elephants bears zebras giraffes airplanes boats trains motorcycles benches '
    'umbrellas handbags ties suitcases kites skateboards surfboards bottles cups forks knives spoons '
    'bowls bananas apples sandwiches oranges carrots pizzas donuts cakes chairs couches beds tables toilets '
    'televisions laptops keyboards phones ovens books clocks vases scissors flowers houses').split()


def plural_of(noun):
    return noun + next(ending for last, ending in ENDINGS if noun.endswith(last))


def _pick(rng, choice):
    return choice[int(rng.integers(len(choice)))]


def _misspell(rng, word):
    """The word with one letter replaced, left out, added, or exchanged with its neighbour."""
    at, letter = int(rng.integers(len(word) - 1)), _pick(rng, string.ascii_lowercase)
    first, second, rest = word[at], word[at + 1], word[at + 2:]
    middle = _pick(rng, (letter + second, second, first + letter + second, second + first))
    return word[:at] + middle + rest


def _draw(rng, taught):
    u = rng.random()
    if u < .25:
        parts = rng.choice(SYLLABLES, int(rng.integers(2, 4)))
        return ''.join(parts) + _pick(rng, CODAS)
    if u < .35:
        return _misspell(rng, _pick(rng, taught))
    noun = _pick(rng, NOUNS).replace('-', ' ')
    if u < .6:
        return _misspell(rng, noun)
    return f'{_pick(rng, ADJECTIVES)} {noun}' if u < .67 else noun


def draw(rng, taught):
    """(singular, plural) of a noun that is none of the words `taught`."""
    noun = _draw(rng, taught)
    plural = plural_of(noun)
    if noun in taught or plural in taught or noun in HELD_OUT or plural in HELD_OUT:
        return draw(rng, taught)
    return noun, plural
