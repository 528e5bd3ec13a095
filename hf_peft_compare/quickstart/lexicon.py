"""Word lists of the embedded news: names, places, firms and goods, divided among four worlds that share no word.

A *world* is a set of words and numbers: `pretraining` for the base, `train`, `validation` and `test` for the studies.
Every list is dealt like cards, 20 at a time, so a word belongs to one world only; numbers are dealt by their remainder
after division by seven.
"""

from __future__ import annotations

from dataclasses import dataclass

WORLDS = ("pretraining", "train", "validation", "test")

# 20 cards a round: 9 for pretraining, 6 for train, 2 for validation, 3 for test.
_DEAL = (
    "pretraining train test pretraining train pretraining validation pretraining train pretraining "
    "test train pretraining pretraining train validation pretraining train test pretraining"
).split()

# Seven shares no factor with ten, so every digit still occurs in every place of a world's numbers.
_REMAINDERS = {"pretraining": (0, 2, 4, 6), "train": (1,), "validation": (3,), "test": (5,)}

FIRST_NAMES = """
Adela Adrian Agnes Alan Albert Alice Alina Amara Amelia Andre Anita Anton Arlo Arthur Astrid Audrey Barbara Basil
Beatrice Benedict Bernard Bianca Boris Brenda Bridget Bruno Calvin Camila Carla Carmen Caspar Cecilia Cedric Celia
Chloe Clara Claudia Clement Colin Conrad Cora Cyril Dagmar Damian Daniel Daphne Darius David Deborah Denise Derek
Diana Dmitri Dominic Donna Doris Edgar Edith Edmund Edwin Elena Elias Eliza Elliot Elsa Emil Emma Enid Enrico Erik
Esther Ethan Eugene Eva Fabian Fatima Felix Fiona Flora Florian Frances Franz Freya Gareth Gemma Geoffrey Georgia
Gerald Gilbert Gloria Goran Greta Gustav Hanna Harald Harriet Hassan Hector Heidi Helena Henrik Herman Hilda Horace
Howard Hugo Ibrahim Ida Ignatius Igor Imogen Ines Ingrid Irene Isaac Isla Ivan Ivor Jacob Jamila Janet Jasper Javier
Jerome Joan Johan Jolene Jonas Joyce Judith Julian Juliet Karim Karla Kasper Keiko Kenneth Kiran Klara Kurt Lars
Laura Leila Lena Leon Leopold Leroy Lidia Linus Lorna Louis Lucas Lucia Luther Lydia Mabel Magnus Malcolm Manuel
Marcel Margot Marina Marlon Martha Matilda Maurice Maxim Melissa Mercy Mikael Minna Miriam Mohan Monica Morgan Muriel
Nadia Naomi Natalie Neil Nicola Nigel Nora Norman Olaf Olga Oliver Omar Oscar Otto Pamela Pascal Patrick Paula Pedro
Percy Petra Philip Phoebe Pierre Priya Quentin Rachel Rafael Ralph Ramona Raymond Rebecca Regina Renata Rodney
Roland Romeo Rosalind Rowan Rufus Rupert Samira Samson Sandra Saskia Sebastian Selma Serena Sidney Sigrid Silas
Simone Sonia Stanley Stefan Stella Sven Sylvia Tabitha Tamara Tariq Teresa Thelma Theodor Tobias Trevor Ulrich
Ursula Valerie Vera Victor Vincent Viola Vivian Walter Wanda Wendy Wilfred Winston Xavier Yasmin Yusuf Yvonne Zelda
""".split()

LAST_NAMES = """
Abara Abbott Ackroyd Aldous Almeida Amundsen Anzani Appleby Arden Ashby Atwood Averill Babcock Bagley Balfour Bancroft
Barlow Barrera Bartlett Baxter Beaumont Beckett Bellamy Bergman Berrios Blackwell Blanco Boden Bosworth Bradshaw
Brandt Briggs Broderick Buckley Burgess Byrne Caldwell Callahan Cardoso Carmody Carver Castillo Chandler Chaudhry
Clayton Colvin Connolly Cooperman Corbett Cordova Crosby Cutler Dalton Danvers Davenport Deacon Delgado Dempsey
Denholm Devlin Dixon Dominguez Donovan Drake Drummond Dunbar Durant Eastwood Eckhart Eldridge Ellison Emerson
Endicott Escobar Fairbanks Falkner Farrell Fenwick Ferreira Finch Fitzroy Fleming Forsythe Foster Franklin Frobisher
Gallagher Garrison Gaskell Gibbons Gifford Gilmore Glover Goddard Gonzaga Gorman Granger Greenberg Gresham Griffith
Grover Haddock Halloran Hammond Hargrove Hartman Hawkins Hayward Hendricks Herrera Hewitt Higgins Hobson Hoffman
Holloway Hopkins Huxley Ibsen Ingram Irving Isherwood Jacobson Jankowski Jardine Jennings Joshi Kaminski Kaplan
Kavanagh Keating Kellogg Kendrick Kimura Kingsley Kirkland Koenig Kowalski Kramer Kruger Lambert Langdon Larkin
Laurier Lawson Leland Lennox Lindqvist Lombardi Lorimer Lovell Lundgren Maddox Mahoney Malone Marlowe Martinez
Maxwell Mayfield Maybury McKenna Mendoza Mercer Merrick Milligan Montague Moreau Morrison Mulligan Nakamura Napier
Navarro Nettleton Nicholson Nolan Novak Oakley Obrien Odell Okafor Oldham Olsen Ortega Osborne Padilla Palmer
Parkhurst Patel Paxton Pemberton Perkins Petrov Pickett Pomeroy Prescott Quigley Quimby Radcliffe Ramsay Randall
Redmond Reinhardt Renshaw Reyes Richter Ridley Robson Romano Rosario Rutledge Sadler Salazar Salter Sanders Saunders
Schofield Seward Shepard Sheridan Silva Simmons Sinclair Slater Sorensen Spalding Spencer Stafford Steiner Sterling
Stokes Sullivan Sutcliffe Swanson Talbot Tanaka Tennyson Thackeray Thorne Tierney Torres Townsend Trask Tucker
Underhill Upshaw Valdez Vance Vaughan Velasco Vickers Villiers Waddell Wainwright Walsh Warwick Watkins Webber
Weldon Whitaker Wickham Wilcox Winslow Wolfe Woodruff Wyatt Yamada Yardley Yates Zamora Zeller Ziegler
""".split()

PLACES = """
Abingdon Alderney Ambleside Andover Anselm Arbroath Ardmore Arlington Arundel Ashford Avonlea Aylesbury Bakewell
Balmoral Banbury Bangor Barnstead Basingham Batley Bedford Belgrave Bellport Benfield Berwick Beverley Bideford Birchley
Bodmin Bolsover Bosham Bracknell Brampton Brecon Bridgend Brixham Bromley Buckden Bude Burnley Buxton Caister Calder
Camborne Cardigan Carlow Carrick Castleton Chalford Charmouth Chatham Cheddar Chepstow Cheswick Clonmel Clovelly
Coleford Colwyn Conway Corbridge Cranbrook Crewe Cromer Croyden Cullen Dalkeith Darley Dartford Dawlish Denby Deptford
Derwent Dornoch Douglas Dover Dudley Dulverton Dunmore Dunster Durham Easton Ecclesby Egremont Elgin Elmswell Ely
Epsom Evesham Exmouth Fakenham Falmouth Fareham Farnborough Filey Flintham Folkestone Formby Fowey Frinton Galston
Garstang Girvan Glenrock Goole Gosport Grantham Grimsby Guildford Hadleigh Halifax Harlech Harrogate Hastings
Haverhill Hawick Helston Hereford Hexham Hitchin Honiton Horsham Howden Huntly Hythe Ilford Ilkley Inverness Ipswich
Jarrow Keighley Kelso Kendal Keswick Kettering Kilmore Kingsbury Kinross Knutsford Lanark Langport Largs Launceston
Leominster Lerwick Lewes Lichfield Lincoln Liskeard Llanelli Louth Ludlow Luton Lymington Mallow Malvern Margate
Marlborough Matlock Melrose Millom Moffat Montrose Morpeth Nairn Nantwich Newbury Newquay Norwich Nuneaton Oakham
Oban Okehampton Ormskirk Oswestry Oundle Padstow Paignton Peebles Penrith Penzance Pickering Portree Preston Pwllheli
Ramsey Redcar Repton Richmond Ripon Romsey Rothbury Royston Rugby Ryde Saltash Sandwich Seaham Sedgefield Selkirk
Settle Shaftesbury Sheringham Skegness Skipton Southwold Spilsby Stamford Stirling Stowmarket Stratford Swanage
Tamworth Taunton Tavistock Tenby Tetbury Thirsk Thurso Tiverton Torquay Totnes Trowbridge Truro Uppingham Ventnor
Wadebridge Walsall Wareham Warminster Watchet Wells Wetherby Weymouth Whitby Wigan Wincanton Windermere Wisbech
Woburn Wokingham Worksop Worthing Wrexham Yarmouth Yeovil
""".split()

FIRMS = """
Acton Albion Altair Apex Aquila Arcadia Argent Astra Atlas Aurora Axiom Beacon Borealis Bramble Brio Cadence Calypso
Capella Cascade Celtic Centauri Chronos Cobalt Comet Condor Corvus Cygnet Delphi Domino Dynamo Electra Emerald Equinox
Everest Falcon Fortuna Fulcrum Gemini Granite Halcyon Heron Horizon Hydra Icarus Imperial Javelin Juno Jupiter Kestrel
Lantern Laurel Legacy Lumina Lynx Mariner Meridian Minerva Monarch Nebula Neptune Nimbus Nova Oasis Odyssey Olympus
Omega Optima Orbit Orion Osprey Pacific Paragon Pegasus Pinnacle Polaris Prism Quantum Quasar Regal Rialto Sable
Sapphire Saturn Sentinel Sierra Solaris Spectra Summit Tempest Titan Triton Umbra Unity Vanguard Vega Vertex Vortex
Zenith Zephyr
""".split()

# None begins with a vowel, so that frames can say "a {goods}".
GOODS = """
bacon bamboo banjo barley basket battery bean bell belt bicycle biscuit blanket bonnet boot bottle bowl brass bread
brick broom brush bucket butter button cabbage cable cactus cake camera canoe canvas cardboard carpet carrot cement
chair cheese cherry chess chimney chocolate cider cigar clay clock cloth coat cocoa coffee comb concrete copper coral
cork cotton cream cushion cutlery daisy diamond doll doughnut drum fan feather fence fiddle flag flour flute fountain
fur furniture garlic ginger glass glove glue grain grape guitar gypsum hammer hat hay helmet herb honey hose jam jewel
kayak kettle kite knife lace ladder lamp lead leather lemon lens linen lock lumber magnet malt mango maple marble
mattress melon metal milk mirror mitten mop motor mushroom mustard nail needle nickel noodle nut paint pancake paper
parasol peach peanut pear pearl pencil pepper perfume piano pickle pillow pipe plaster plastic plum porcelain potato
pottery pump puppet puzzle quilt radio raisin razor ribbon rice robe rope rubber rug saddle sail salmon salt sandal
sausage saw scarf scissors seed shampoo shawl sherry shirt shoe silk silver slate slipper soap sock sofa soup spice
spinach sponge spoon steel stove straw sugar sweater syrup tea tent thread tile timber tin tobacco toffee tomato towel
toy trumpet tulip turnip tyre vanilla varnish velvet vinegar violin waffle wallpaper walnut watch wax whisky wicker
wig wine wheat wool yarn yoghurt zinc zipper
""".split()

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


@dataclass(frozen=True, kw_only=True)
class World:
    """The words and numbers of one world; worlds share none."""

    name: str
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    places: tuple[str, ...]
    firms: tuple[str, ...]
    goods: tuple[str, ...]
    numbers: tuple[int, ...]

    @property
    def words(self) -> frozenset[str]:
        """All words of the world's lists, in lower case."""
        lists = (self.first_names, self.last_names, self.places, self.firms, self.goods)
        return frozenset(word.lower() for words in lists for word in words)


def build_world(name: str) -> World:
    """Return the world with this name; raise ValueError with the known names for any other."""
    if name not in WORLDS:
        raise ValueError(f"unknown world {name!r}; the worlds are {', '.join(WORLDS)}")
    return World(
        name=name,
        first_names=_dealt(FIRST_NAMES, world=name),
        last_names=_dealt(LAST_NAMES, world=name),
        places=_dealt(PLACES, world=name),
        firms=_dealt(FIRMS, world=name),
        goods=_dealt(GOODS, world=name),
        numbers=tuple(number for number in range(12, 990) if number % 7 in _REMAINDERS[name]),
    )


def _dealt(words: list[str], *, world: str) -> tuple[str, ...]:
    """Return the words of one world when the list is dealt in order."""
    return tuple(word for index, word in enumerate(words) if _DEAL[index % len(_DEAL)] == world)
